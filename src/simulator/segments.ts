/** The GSM 7-bit alphabet (3GPP TS 23.038); the characters of its extension table cost two places. */
const basic =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
const extended = '\f^{}\\[~]|€';

const isGsm = new RegExp(`^[${classOf(basic + extended)}]*$`);
const isExtended = new RegExp(`[${classOf(extended)}]`, 'g');

/** How many SMS the text costs: 160 places alone or 153 each in a chain; with any other character 70 or 67 (UTF-16 units). */
export function countSegments(text: string): number {
  if (!isGsm.test(text)) return count(text.length, 70, 67);
  return count(text.length + (text.match(isExtended)?.length ?? 0), 160, 153);
}

function count(places: number, alone: number, inChain: number): number {
  return places <= alone ? 1 : Math.ceil(places / inChain);
}

function classOf(characters: string): string {
  return characters.replace(/[\\\]^-]/g, '\\$&');
}
