/**
 * What a log line may hold beside its sentence: these fields, and of each only values of its kind. A field that is not here is
 * dropped, so that a text, a number or a token that somebody adds to a line by accident never leaves the process.
 */
type Kind = (value: unknown) => boolean;

const isCount: Kind = (value) => typeof value === 'number' && Number.isFinite(value);
const isFlag: Kind = (value) => typeof value === 'boolean';
const matches =
  (pattern: RegExp): Kind =>
  (value) =>
    typeof value === 'string' && pattern.test(value);
const oneOf =
  (...kinds: Kind[]): Kind =>
  (value) =>
    kinds.some((kind) => kind(value));
/** One word of a vocabulary, ours or Twilio's: no digits, no spaces. */
const isWord = matches(/^[A-Za-z][A-Za-z_-]{0,39}$/);
/** Some words of ours, with a status or a code of up to six digits: too few for a phone number. */
const isPhrase: Kind = (value) =>
  matches(/^[A-Za-z][\w ,.'’():;-]{0,159}$/)(value) && !/(?:\d[ ().-]?){7}/.test(String(value));
/** What would have matched, of the signature doctor: a longer phrase, with ports of up to five digits. */
const isFinding: Kind = (value) =>
  matches(/^[A-Za-z][\w ,:-]{0,399}$/)(value) && !/(?:\d[ ().-]?){7}/.test(String(value));
const isUuid = matches(/^[\w-]{1,36}$/);
const isSid = matches(/^[A-Za-z]{2}[\w-]{0,62}$/);
const isMoment = matches(/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?Z?$|^-?infinity$/);
const isMoments: Kind = (value) =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).every(
    ([name, moment]) => ['began', 'text', 'number'].includes(name) && (moment === undefined || isMoment(moment)),
  );
const areNames: Kind = (value) => Array.isArray(value) && value.every(matches(/^[\w-]{1,60}$/));

const fields: Readonly<Record<string, Kind>> = {
  // Whose line it is. A caller chooses its own requestID, which is echoed: here without those that could be a phone number or a key.
  name: isWord,
  requestID: (value) => matches(/^[\x21-\x7e]{1,128}$/)(value) && !matches(/^[+\d().-]{6,}$|polaris_/)(value),
  messageId: isUuid,
  twilioSid: isSid,
  // Errors are reduced by `describeError`.
  err: () => true,
  // What it is about, in words of a vocabulary.
  job: isPhrase,
  work: isPhrase,
  method: isWord,
  // As the route is declared, never as it was asked for.
  route: matches(/^(?:none|\*|\/[\w/:.*-]{0,99})$/),
  status: oneOf(isCount, isWord),
  result: oneOf(isPhrase, isFlag),
  outcome: isPhrase,
  look: isPhrase,
  reason: isPhrase,
  finding: isFinding,
  errorClass: isPhrase,
  code: matches(/^\d{1,6}$/),
  signal: isWord,
  environment: isWord,
  twilio: isWord,
  baseUrl: matches(/^https?:\/\/[\w.:[\]-]{1,80}$/),
  callbackBaseUrl: matches(/^https?:\/\/[\w.:[\]-]{1,80}$/),
  migrations: areNames,
  upTo: isMoments,
  isVoid: isFlag,
  isChanged: isFlag,
  joined: oneOf(isCount, isFlag),
  redacted: oneOf(isCount, isPhrase),
  // Counts and durations.
  ms: isCount,
  httpStatus: isCount,
  times: isCount,
  looks: isCount,
  silent: isCount,
  total: isCount,
  asked: isCount,
  changed: isCount,
  gone: isCount,
  failed: isCount,
  text: isCount,
  number: isCount,
  callback: isCount,
};

/**
 * The fields that may be logged, and under `dropped` the names of the others: a name is a program's, so it is shown when it is
 * letters only; anything else might be a stranger's. Fields without a value are nobody's loss.
 */
export function onlyKnown(line: object): Record<string, unknown> {
  const known: Record<string, unknown> = {};
  const dropped: string[] = [];
  for (const [name, value] of Object.entries(line)) {
    if (value === undefined || value === null) continue;
    if (Object.hasOwn(fields, name) && fields[name]?.(value)) known[name] = value;
    else dropped.push(/^[A-Za-z]{1,30}$/.test(name) ? name : '?');
  }
  return dropped.length === 0 ? known : { ...known, dropped };
}
