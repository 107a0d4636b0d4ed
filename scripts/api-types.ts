import { parse } from 'yaml';

/** The types of the API for programs in TypeScript, made from docs/openapi.yaml: its named schemas, and each operation by its name. */

type Schema = { readonly [key: string]: unknown };
type Parameter = { name: string; in: string; required?: boolean; schema: Schema };
type Content = Record<string, { schema: Schema }>;
type Operation = {
  parameters?: Parameter[];
  requestBody?: { content: Content };
  responses: Record<string, { content?: Content }>;
};
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};

const header = `// Made by \`npm run openapi\` from docs/openapi.yaml: change that, not this.
`;

export function apiTypes(openapiYaml: string): string {
  const { paths, components }: Document = parse(openapiYaml);
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) => `export type ${name} = ${typeOf(schema)};`,
  );
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]) => `  '${method.toUpperCase()} ${path}': ${operationType(operation)};`,
    ),
  );
  return `${header}\n${schemas.join('\n')}\n\nexport type Operations = {\n${operations.join('\n')}\n};\n`;
}

function operationType({ parameters = [], requestBody, responses }: Operation): string {
  const good = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1];
  const parts = [
    ...parametersOf('path', parameters),
    ...parametersOf('query', parameters),
    ...(requestBody === undefined ? [] : [`body: ${contentType(requestBody.content)}`]),
    `answer: ${contentType(good?.content)}`,
  ];
  return `{ ${parts.join('; ')} }`;
}

/** Headers are left out: who sends them knows them. */
function parametersOf(place: 'path' | 'query', parameters: readonly Parameter[]): string[] {
  const here = parameters.filter((parameter) => parameter.in === place);
  if (here.length === 0) return [];
  const mark = here.some(({ required }) => required) ? '' : '?';
  const fields = here.map(({ name, required, schema }) => `${nameOf(name)}${required ? '' : '?'}: ${typeOf(schema)}`);
  return [`${place}${mark}: { ${fields.join('; ')} }`];
}

function contentType(content: Content | undefined): string {
  const schema = content?.['application/json']?.schema;
  return schema === undefined ? (content === undefined ? 'null' : 'string') : typeOf(schema);
}

function typeOf(schema: Schema): string {
  if (typeof schema.$ref === 'string') return schema.$ref.replace('#/components/schemas/', '');
  if ('const' in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((word) => JSON.stringify(word)).join(' | ');
  const either = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(either)) return [...new Set(either.map(typeOf))].join(' | ');
  const { type } = schema;
  if (Array.isArray(type)) return type.map((each) => typeOf({ ...schema, type: each })).join(' | ');
  switch (type) {
    case 'object':
      return objectType(schema);
    case 'array':
      return `readonly (${typeOf((schema.items ?? {}) as Schema)})[]`;
    case 'integer':
    case 'number':
      return 'number';
    case 'string':
    case 'boolean':
    case 'null':
      return type;
    default:
      return 'unknown';
  }
}

function objectType({ properties = {}, required = [], additionalProperties }: Schema): string {
  const names = Object.entries(properties as Record<string, Schema>);
  if (names.length === 0 && typeof additionalProperties === 'object') {
    return `{ readonly [name: string]: ${typeOf(additionalProperties as Schema)} }`;
  }
  const needed = required as readonly string[];
  return `{ ${names.map(([name, schema]) => `readonly ${nameOf(name)}${needed.includes(name) ? '' : '?'}: ${typeOf(schema)}`).join('; ')} }`;
}

function nameOf(name: string): string {
  return /^[a-z_]\w*$/i.test(name) ? name : JSON.stringify(name);
}
