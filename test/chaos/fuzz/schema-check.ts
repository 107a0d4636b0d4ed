import type { Api, Schema } from './document.ts';

const understood = new Set(
  (
    '$ref type anyOf enum const properties required additionalProperties propertyNames items minLength maxLength minimum maximum ' +
    'pattern format description example examples deprecated default title'
  ).split(' '),
);

/** Where `value` is not what the schema says, and why; null = it is. Throws at a schema that it cannot read: no check passes unread. */
export function violationOf(api: Api, given: Schema, value: unknown, where = 'the body'): string | null {
  const schema = api.resolve(given);
  const unread = Object.keys(schema).find((keyword) => !understood.has(keyword));
  if (unread !== undefined) throw new Error(`the fuzzer does not understand ${unread} in a schema`);
  if (schema.anyOf !== undefined) {
    const isOne = schema.anyOf.some((option) => violationOf(api, option, value, where) === null);
    return isOne ? null : `${where} is none of what it may be`;
  }
  if (schema.const !== undefined && value !== schema.const) return `${where} is not the one value`;
  if (schema.enum !== undefined && !schema.enum.includes(value)) return `${where} is not one of the values`;
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOfType(type, value))) return `${where} is not of type ${types}`;
  if (typeof value === 'string') return violationOfText(schema, value, where);
  if (typeof value === 'number') return violationOfNumber(schema, value, where);
  if (Array.isArray(value))
    return firstOf(value.map((item, n) => () => violationOf(api, schema.items ?? {}, item, `${where}[${n}]`)));
  if (typeof value === 'object' && value !== null) return violationOfObject(api, schema, value, where);
  return null;
}

function isOfType(type: string, value: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function violationOfText(
  { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, format }: Schema,
  value: string,
  where: string,
) {
  const length = [...value].length;
  if (length < minLength || length > maxLength) return `${where} is ${length} characters long`;
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) return `${where} does not match ${pattern}`;
  const isMoment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value);
  return format === 'date-time' && !isMoment ? `${where} is not a date-time` : null;
}

function violationOfNumber({ minimum, maximum }: Schema, value: number, where: string) {
  const isWithin = value >= (minimum ?? value) && value <= (maximum ?? value);
  return isWithin ? null : `${where} is out of range`;
}

function violationOfObject(api: Api, schema: Schema, value: object, where: string): string | null {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return `${where}.${missing} is missing`;
  return firstOf(
    Object.entries(value).map(([name, item]) => () => {
      const at = `${where}.${name}`;
      if (Object.hasOwn(properties, name)) return violationOf(api, properties[name] ?? {}, item, at);
      if (additionalProperties === false) return `${at} is not in the document`;
      return additionalProperties === true ? null : violationOf(api, additionalProperties, item, at);
    }),
  );
}

function firstOf(checks: readonly (() => string | null)[]): string | null {
  for (const check of checks) {
    const violation = check();
    if (violation !== null) return violation;
  }
  return null;
}
