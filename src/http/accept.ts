import { Refusal } from '../errors.ts';

/**
 * The one of `offers` (media types, the preferred first) that an Accept header likes best: RFC 9110, 12.5.1. Without a
 * header, or with an empty one, the first. What cannot be read in it is passed over. Refused (406) when it likes none.
 */
export function chooseType<Offer extends string>(
  accept: string | undefined,
  offers: readonly [Offer, ...Offer[]],
): Offer {
  if (accept === undefined || accept.trim() === '') return offers[0];
  const ranges = accept.split(',').flatMap(readRange);
  const liked = offers
    .map((offer) => ({ offer, quality: qualityOf(offer, ranges) }))
    .filter(({ quality }) => quality > 0)
    // A stable sort: of what is liked as much, the preferred comes first.
    .sort((a, b) => b.quality - a.quality);
  const [best] = liked;
  if (best === undefined) throw new Refusal('not acceptable', `Accept: this address has ${offers.join(', ')}.`);
  return best.offer;
}

type Range = { readonly type: string; readonly quality: number };

/** `text/*;q=0.5`; other parameters change nothing here. */
function readRange(text: string): Range[] {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  if (!/^(\*|[\w!#$&^.+-]+)\/(\*|[\w!#$&^.+-]+)$/.test(type)) return [];
  const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, '') ?? '1';
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? [{ type, quality: Number(weight) }] : [];
}

/** The most exact range decides, also when it says no. */
function qualityOf(offer: string, ranges: readonly Range[]): number {
  const exactness = [offer, `${offer.split('/')[0]}/*`, '*/*'];
  for (const type of exactness) {
    const said = ranges.filter((range) => range.type === type);
    if (said.length > 0) return Math.max(...said.map(({ quality }) => quality));
  }
  return 0;
}
