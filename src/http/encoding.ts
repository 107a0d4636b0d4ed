/** The one of `offers` (the preferred first) that an Accept-Encoding header allows; null: none, so as it is. RFC 9110, 12.5.3 */
export function chooseEncoding<Offer extends string>(
  accepted: string | undefined,
  offers: readonly Offer[],
): Offer | null {
  const weights = new Map((accepted ?? '').split(',').map(readCoding));
  const weightOf = (offer: string) => weights.get(offer) ?? weights.get('*') ?? 0;
  const [best] = offers.filter((offer) => weightOf(offer) > 0).sort((a, b) => weightOf(b) - weightOf(a));
  return best ?? null;
}

/** `br;q=0.8`; a weight that cannot be read allows nothing. */
function readCoding(text: string): [string, number] {
  const [coding = '', weight = 'q=1'] = text.split(';').map((part) => part.trim().toLowerCase());
  return [coding, /^q=(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? Number(weight.slice(2)) : 0];
}
