import fc from 'fast-check';
import { oddName, oddText, oddValue } from './values.ts';

/** What can be wrong with a request. */

type Pair = readonly [name: string, value: string];

/** A request before it is written down. */
export type Draft = {
  readonly method: string;
  readonly segments: readonly Pair[];
  readonly query: readonly Pair[];
  readonly headers: readonly Pair[];
  readonly fields: readonly (readonly [string, unknown])[];
  readonly mediaType: string | null;
  readonly rawQuery: string;
  readonly rawBody: string | Buffer | null;
  readonly isForged: boolean;
};

export type Spoil = (draft: Draft) => Draft;

const headerText = fc.oneof(
  fc.constantFrom(
    '',
    'x'.repeat(256),
    'a,b',
    'text/csv',
    'image/png',
    '*/*;q=0',
    'bytes=0-1',
    '*',
    'W/"x"',
    'DELETE',
    '127.0.0.1',
  ),
  fc.string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((n) => n !== 0x7f)
      .map((n) => String.fromCharCode(n)),
    maxLength: 60,
  }),
);
const headerName = fc.constantFrom(
  ...'x-trustomer x-product idempotency-key prefer accept x-request-id if-none-match range x-http-method-override'.split(
    ' ',
  ),
  ...'x-forwarded-for x-forwarded-host x-twilio-signature content-encoding content-type __proto__ constructor cookie te'.split(
    ' ',
  ),
  ...'authorization origin access-control-request-method x-original-url accept-encoding'.split(' '),
);
const rawQuery = fc.constantFrom(
  '%00',
  '%ff=%fe',
  '%E0%A4%A',
  'limit=1&limit=2',
  'limit[]=1',
  '__proto__[x]=1',
  '=',
  '&&&&',
  'm=x&a=1',
  'a'.repeat(4_000),
  `m=${'a'.repeat(36)}&a=99999999999`,
);
const rawBody = fc.oneof(
  fc.constantFrom<string | Buffer>(
    '',
    '{',
    '{}{}',
    'null',
    '[]',
    '"x"',
    '['.repeat(5_000),
    '{"a":'.repeat(5_000),
    '\ufeff{}',
    `{"content":"${'x'.repeat(66_000)}"}`,
  ),
  fc.constantFrom<string | Buffer>(
    '{"__proto__":{"content":"x"}}',
    '{"constructor":{"prototype":{}}}',
    '&&=&%',
    '%00=%ff',
    Buffer.from([0xff, 0xfe, 0x22]),
  ),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);

const replaceFirst = (pairs: readonly Pair[], at: number, value: string) =>
  pairs.map(([name, old], n): Pair => [name, n === at % pairs.length ? value : old]);

export const spoil: fc.Arbitrary<Spoil> = fc.oneof(
  fc.tuple(fc.nat(20), oddValue).map(
    ([at, value]): Spoil =>
      (draft) => ({
        ...draft,
        fields: draft.fields.map(([name, old], n) => [name, n === at % draft.fields.length ? value : old]),
      }),
  ),
  fc.nat(20).map(
    (at): Spoil =>
      (draft) => ({ ...draft, fields: draft.fields.filter((_, n) => n !== at % draft.fields.length) }),
  ),
  fc.tuple(oddName, oddValue).map(
    (field): Spoil =>
      (draft) => ({ ...draft, fields: [...draft.fields, field] }),
  ),
  fc.nat(20).map(
    (at): Spoil =>
      (draft) => ({
        ...draft,
        fields: draft.fields.flatMap((field, n) => (n === at % draft.fields.length ? [field, field] : [field])),
      }),
  ),
  fc.tuple(oddName, oddText).map(
    (pair): Spoil =>
      (draft) => ({ ...draft, query: [...draft.query, pair] }),
  ),
  fc.tuple(fc.nat(20), oddText).map(
    ([at, value]): Spoil =>
      (draft) => ({ ...draft, query: replaceFirst(draft.query, at, value) }),
  ),
  fc.nat(20).map(
    (at): Spoil =>
      (draft) => ({ ...draft, query: [...draft.query, ...draft.query.slice(at % (draft.query.length + 1))] }),
  ),
  fc.nat(20).map(
    (at): Spoil =>
      (draft) => ({ ...draft, query: draft.query.filter((_, n) => n !== at % draft.query.length) }),
  ),
  rawQuery.map(
    (text): Spoil =>
      (draft) => ({ ...draft, rawQuery: text }),
  ),
  fc.tuple(headerName, headerText).map(
    (pair): Spoil =>
      (draft) => ({ ...draft, headers: [...draft.headers.filter(([name]) => name !== pair[0]), pair] }),
  ),
  fc.nat(20).map(
    (at): Spoil =>
      (draft) => ({ ...draft, headers: [...draft.headers, ...draft.headers.slice(at % (draft.headers.length + 1))] }),
  ),
  fc.nat(20).map(
    (at): Spoil =>
      (draft) => ({ ...draft, headers: draft.headers.filter((_, n) => n !== at % draft.headers.length) }),
  ),
  fc
    .constantFrom(
      'text/plain',
      'application/json; charset=utf-16',
      'multipart/form-data',
      'application/x-www-form-urlencoded',
      '/',
      '',
    )
    .map(
      (mediaType): Spoil =>
        (draft) => ({ ...draft, mediaType }),
    ),
  rawBody.map(
    (body): Spoil =>
      (draft) => ({ ...draft, rawBody: body }),
  ),
  oddText.map(
    (text): Spoil =>
      (draft) => ({ ...draft, segments: draft.segments.map(([name]) => [name, text]) }),
  ),
  fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE').map(
    (method): Spoil =>
      (draft) => ({ ...draft, method }),
  ),
  fc.constant<Spoil>((draft) => ({ ...draft, isForged: true })),
);
