import { type Ending, happyEnding } from './life.ts';
import { type RefusalCode, refuse, type TwilioError } from './twilio-error.ts';

type Outcome = { readonly refusedWith: RefusalCode } | { readonly endsAs: Ending };

export type MagicNumber = {
  readonly field: 'To' | 'From';
  /** Whole numbers start with `+`; four digits are an ending, which counts on the two ranges kept for fiction only. */
  readonly numbers: readonly string[];
  readonly inWords: string;
  readonly outcome: Outcome;
};

/**
 * Numbers with a fate of their own. Endings …0990 to …0999 suit the British range +447700900000 to +447700900999, …0190 to
 * …0199 the American +1XXX5550100 to +1XXX5550199. The whole numbers are Twilio's test numbers and mean what they mean
 * there: https://www.twilio.com/docs/iam/test-credentials. The README's table is written from this one.
 */
export const magicNumbers: readonly MagicNumber[] = [
  endsAs('0', 'undelivered', 30003, 'undelivered: handset unreachable, for now'),
  endsAs('1', 'undelivered', 30005, 'undelivered: number unknown'),
  endsAs('2', 'undelivered', 30006, 'undelivered: landline or unreachable carrier'),
  endsAs('3', 'failed', 30008, 'failed: never left Twilio, reason unknown'),
  endsAs('4', 'sent', null, 'stays sent for ever: no delivery receipt comes'),
  refusesEnding('5', 21211, 'refused: not a valid number'),
  refusesEnding('6', 21610, 'refused: the receiver has opted out'),
  refusesEnding('7', 21408, 'refused: sending to that country is not enabled'),
  refusesEnding('8', 20429, 'too many requests: asks to come back in a second'),
  refusesEnding('9', 20500, 'Twilio breaks: 500, and nothing was created'),
  refuses('To', '+15005550001', 21211, 'refused: not a valid number'),
  refuses('To', '+15005550002', 21612, 'refused: cannot be reached from this sender'),
  refuses('To', '+15005550003', 21408, 'refused: sending to that country is not enabled'),
  refuses('To', '+15005550004', 21610, 'refused: the receiver has opted out'),
  refuses('To', '+15005550009', 21614, 'refused: not a mobile number'),
  refuses('From', '+15005550001', 21212, 'refused: not a valid sender'),
  refuses('From', '+15005550007', 21606, 'refused: this sender is not yours or cannot send texts'),
  refuses('From', '+15005550008', 21611, "refused: this sender's queue is full"),
  { field: 'From', numbers: ['+15005550006'], inWords: 'a good sender', outcome: { endsAs: happyEnding } },
];

/** What becomes of a message from this sender to this receiver: refused at once, or taken and ending like this. */
export function foretell(from: string | null, to: string): Ending | TwilioError {
  const sender = outcomeFor('From', from ?? '');
  if ('refusedWith' in sender) return refuse(sender.refusedWith, from ?? '');
  const receiver = outcomeFor('To', to);
  return 'refusedWith' in receiver ? refuse(receiver.refusedWith, to) : receiver.endsAs;
}

function outcomeFor(field: MagicNumber['field'], number: string): Outcome {
  const magic = magicNumbers.find((m) => m.field === field && m.numbers.some((n) => isMeant(n, number)));
  return magic?.outcome ?? { endsAs: happyEnding };
}

function isMeant(magic: string, number: string): boolean {
  return magic.startsWith('+') ? number === magic : isFiction(number) && number.endsWith(magic);
}

/** Ofcom's and the North American numbering plan's numbers for fiction: they ring nobody's phone. */
function isFiction(number: string): boolean {
  return /^\+447700900\d{3}$|^\+1\d{3}55501\d{2}$/.test(number);
}

function endsAs(digit: string, status: Ending['status'], errorCode: number | null, inWords: string): MagicNumber {
  return { field: 'To', numbers: endings(digit), inWords, outcome: { endsAs: { status, errorCode } } };
}

function refusesEnding(digit: string, refusedWith: RefusalCode, inWords: string): MagicNumber {
  return { field: 'To', numbers: endings(digit), inWords, outcome: { refusedWith } };
}

function refuses(field: 'To' | 'From', number: string, refusedWith: RefusalCode, inWords: string): MagicNumber {
  return { field, numbers: [number], inWords, outcome: { refusedWith } };
}

function endings(digit: string): string[] {
  return [`099${digit}`, `019${digit}`];
}
