import fc from 'fast-check';
import { sign } from '../../../src/twilio/signature.ts';
import type { Api, Operation } from './document.ts';
import { type Draft, spoil } from './spoils.ts';
import { goodFields, goodValue } from './values.ts';

/** Requests made from the document: good ones, and good ones with up to three things wrong. */

export type Asked = {
  readonly operation: Operation;
  readonly method: string;
  readonly path: string;
  /** Name and value by turns: a name may come twice. */
  readonly headers: readonly string[];
  readonly body: string | Buffer | null;
};

export type Knowledge = {
  readonly api: Api;
  /** Messages that are there. */
  readonly uuids: readonly string[];
  readonly callbackUrl: string;
  readonly authToken: string;
};

/** So often, compared with each other, an operation is asked for. A bulk update asks Twilio about everything. */
const weights: Readonly<Record<string, number>> = {
  'POST /dhos/v1/sms': 250,
  'GET /dhos/v1/sms/bulk_update': 1,
  'POST /dhos/v1/sms/bulk_update': 1,
};

export function requestsOf(knowledge: Knowledge): fc.Arbitrary<Asked> {
  return fc.oneof(
    ...knowledge.api.operations.map((operation) => ({
      arbitrary: requestOf(operation, knowledge),
      weight: weights[`${operation.method} ${operation.path}`] ?? 100,
    })),
  );
}

function requestOf(operation: Operation, knowledge: Knowledge): fc.Arbitrary<Asked> {
  const spoils = fc.array(spoil, { maxLength: 3, size: 'max' });
  return fc.tuple(goodDraft(operation, knowledge), fc.oneof(fc.constant([]), spoils)).map(([draft, wrong]) =>
    writeDown(
      operation,
      knowledge,
      wrong.reduce((spoilt, by) => by(spoilt), draft),
    ),
  );
}

function goodDraft(operation: Operation, { api, uuids }: Knowledge): fc.Arbitrary<Draft> {
  const [mediaType = null] = Object.keys(operation.bodies);
  const schema = mediaType === null ? {} : operation.bodies[mediaType]?.schema;
  const of = (place: string) =>
    fc
      .tuple(
        ...operation.parameters
          .filter((parameter) => parameter.in === place)
          .map(({ name, required = false, schema: of }) =>
            fc
              .tuple(
                place === 'query' ? goodValue(api, of, name) : parameterOf(name, uuids),
                fc.integer({ min: 0, max: 3 }),
              )
              .map(([value, draw]) => (required || draw === 0 ? [[name, String(value)] as const] : [])),
          ),
      )
      .map((pairs) => pairs.flat());
  return fc.record({
    method: fc.constant(operation.method),
    segments: of('path'),
    query: of('query'),
    headers: of('header'),
    fields: mediaType === null ? fc.constant([]) : goodFields(api, schema ?? {}),
    mediaType: fc.constant(mediaType),
    rawQuery: fc.constant(''),
    rawBody: fc.constant(null),
    isForged: fc.constant(false),
  });
}

/** Tenants are many, so that no list grows long; ids are those of messages that are there. */
function parameterOf(name: string, uuids: readonly string[]): fc.Arbitrary<string> {
  switch (name) {
    case 'message_id':
      return fc.constantFrom(...uuids);
    case 'x-trustomer':
      return fc.integer({ min: 0, max: 99 }).map((n) => `trust${n}`);
    case 'x-product':
      return fc.constantFrom('GDM', 'SEND', 'gdm');
    case 'idempotency-key':
      return fc.uuid();
    case 'prefer':
      return fc.constantFrom('respond-async', 'respond-async, wait=5', 'return=minimal');
    default:
      return fc.constant('none');
  }
}

const encode = (text: string) => encodeURIComponent(text.toWellFormed());

function writeDown(operation: Operation, { callbackUrl, authToken }: Knowledge, draft: Draft): Asked {
  const path = draft.segments.reduce(
    (at, [name, value]) => at.replace(`{${name}}`, encode(value) || '%20'),
    operation.path,
  );
  const query = [...draft.query.map(([name, value]) => `${encode(name)}=${encode(value)}`), draft.rawQuery]
    .filter((part) => part !== '')
    .join('&');
  const search = query === '' ? '' : `?${query}`;
  const isForm = '/dhos/v1/sms/callback' === operation.path;
  const form = new URLSearchParams(
    draft.fields.map(([name, value]): [string, string] => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
  const signature = draft.isForged ? 'forged' : sign(authToken, callbackUrl + search, form);
  const hasBody =
    !['GET', 'HEAD', 'TRACE'].includes(draft.method) && (draft.mediaType !== null || draft.rawBody !== null);
  const headers = [
    ...draft.headers.filter(([name]) => name !== 'X-Twilio-Signature'),
    ...(isForm ? [['x-twilio-signature', signature] as const] : []),
    ...(hasBody && draft.mediaType && !draft.headers.some(([name]) => name === 'content-type')
      ? [['content-type', draft.mediaType] as const]
      : []),
  ];
  const body = draft.rawBody ?? (isForm ? form.toString() : asJson(draft.fields));
  return { operation, method: draft.method, path: path + search, headers: headers.flat(), body: hasBody ? body : null };
}

/** By hand: an object could hold neither a name twice nor `__proto__`. */
function asJson(fields: Draft['fields']): string {
  return `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
}
