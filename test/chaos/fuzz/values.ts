import fc from 'fast-check';
import type { Api, Schema } from './document.ts';

/** Values made from schemas: right ones, wrong ones, and those at the edge between them. */

export type Values = fc.Arbitrary<unknown>;

const DAY_MS = 86_400_000;

/** Every kind of text that has broken a program: NUL, halves of pairs, what SQL, HTML, shells and paths take for their own. */
const oddTexts = [
  '',
  ' ',
  '\0',
  '\ud800',
  '\udfff\ud83d',
  'x'.repeat(251),
  'x'.repeat(1601),
  '🙂'.repeat(801),
  '👩‍👩‍👧‍👦'.repeat(40),
  'Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢'.repeat(20),
  '\u202e\u200b\ufeff\u2028',
  "'; DROP TABLE message; --",
  '<script>alert(1)</script>',
  '%00%0d%0aX-Evil: 1',
  '../../etc/passwd',
  '{{7*7}}',
  '$' + '{7*7}',
  '=1+1',
  '1e309',
  '-0',
  'NaN',
  'null',
  '__proto__',
  'constructor',
] as const;

export const oddText = fc.oneof(
  fc.constantFrom(...oddTexts),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
);

function nested(depth: number): unknown {
  let value: unknown = 'x';
  for (let n = 0; n < depth; n += 1) value = [value];
  return value;
}

export const oddValue: Values = fc.oneof(
  oddText,
  fc.constantFrom<unknown>(null, true, 0, -1, 0.5, Number.MAX_VALUE, 2 ** 53, [], {}, [['x']], { $ne: 1 }, nested(200)),
  fc.constantFrom<unknown>({ toString: 'x' }, { constructor: { prototype: { sender: 'x' } } }, { length: 1e9 }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Names that mean something to JavaScript, to the table, or to a query parser. */
export const oddName = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'then',
    'uuid',
    'created',
    'deleted',
  ),
  fc.constantFrom('redacted', 'created_by_', 'a[b]', 'limit[]', 'a.b', '', '0', 'x'.repeat(300)),
  oddText,
);

/** A value that the schema allows. */
export function goodValue(api: Api, given: Schema, name = ''): Values {
  const schema = api.resolve(given);
  const known = meaningful(name);
  if (known !== null) return known;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((option) => goodValue(api, option)));
  const types = [schema.type ?? []].flat();
  if (types.length === 0) return fc.jsonValue({ maxDepth: 1 });
  return fc.oneof(...types.map((type) => goodOfType(api, schema, type)));
}

function goodOfType(api: Api, schema: Schema, type: string): Values {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer(boundsOf(schema));
    case 'number':
      return fc.double({ ...boundsOf(schema), noNaN: true });
    case 'array':
      return fc.array(goodValue(api, schema.items ?? {}), { maxLength: 3 });
    case 'object':
      return goodFields(api, schema).map((fields) => Object.fromEntries(fields));
    case 'string':
      return goodText(schema);
    default:
      throw new Error(`the fuzzer does not know the type ${type}`);
  }
}

function boundsOf({ minimum = 0, maximum = 1e9 }: Schema): { min: number; max: number } {
  return { min: Math.max(minimum, -1e9), max: Math.min(maximum, 1e9) };
}

function goodText({ format, pattern, minLength = 0, maxLength = 100 }: Schema): Values {
  if (format === 'date-time') return instant;
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern));
  const usual = fc.string({ unit: 'grapheme-composite', minLength, maxLength: Math.min(maxLength, 30) });
  return fc.oneof({ arbitrary: usual, weight: 5 }, { arbitrary: fc.constant('x'.repeat(maxLength)), weight: 1 });
}

const instant = fc
  .integer({ min: -400, max: 400 })
  .map((days) => new Date(Date.parse('2026-11-23T12:00:00Z') + days * DAY_MS).toISOString());

/** Where a schema says only "text", but a text of any kind would be refused: numbers of the kind that is kept for fiction. */
function meaningful(name: string): Values | null {
  switch (name) {
    case 'receiver':
    case 'receiver_e164':
      // Not those at which the simulator breaks or is too busy: a 503 would be the right answer.
      return fc
        .integer({ min: 0, max: 999 })
        .filter((n) => ![198, 199, 998, 999].includes(n))
        .map((n) => `+447700900${String(n).padStart(3, '0')}`);
    case 'sender':
      return fc.constantFrom('+447700900001', '+447700900002', 'Hospital');
    case 'valid_until':
      return fc.integer({ min: 1, max: 300 }).map((days) => new Date(Date.now() + days * DAY_MS).toISOString());
    default:
      return null;
  }
}

type Fields = readonly (readonly [string, unknown])[];

/** The fields of an object: those that it must have, and each of the others one time in eight. */
export function goodFields(api: Api, given: Schema): fc.Arbitrary<Fields> {
  const { properties = {}, required = [] } = api.resolve(given);
  const one = ([name, schema]: [string, Schema]) => {
    const field = goodValue(api, schema, name).map((value) => [[name, value] as const]);
    const none = fc.constant<readonly (readonly [string, unknown])[]>([]);
    return required.includes(name) ? field : fc.oneof({ arbitrary: none, weight: 7 }, { arbitrary: field, weight: 1 });
  };
  return fc.tuple(...Object.entries(properties).map(one)).map((fields) => fields.flat());
}
