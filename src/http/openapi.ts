import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { Scope } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

/** Must be registered before the routes it describes. */
export async function describeApi(app: HttpApp, options: { version: string; isProduction: boolean }): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Polaris SMS',
        version: options.version,
        description:
          'Sends text messages to patients through Twilio: recorded before sent, followed, redacted, counted.',
      },
      components: {
        securitySchemes: {
          apiKey: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'polaris_<id>_<secret>',
            description:
              'With AUTH_MODE=apikey. Which scope an address needs stands with it; sms:admin brings all but sms:read:content',
          },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: SESSION_COOKIE,
            description:
              'For the console in a browser, not for programs: what `POST /dhos/v1/session` sets, for 12 hours at most. It counts as the ' +
              'key it was opened with, only without an Authorization header, and only for requests of the console’s own pages: ' +
              '`Sec-Fetch-Site`, where it is sent, says `same-origin` (a look-up also `none`), and whatever is no GET or HEAD ' +
              'carries `X-Polaris-Console: 1`',
          },
        },
      },
      tags: [
        { name: 'sms', description: 'Messages' },
        { name: 'report', description: 'Counts' },
        { name: 'twilio', description: 'For Twilio only' },
        { name: 'system', description: 'For those who run the service' },
      ],
    },
    transform: (given) => {
      const { schema, url } = jsonSchemaTransform(given);
      return { schema: { ...schema, ...securityOf(given.route.config?.scope) }, url };
    },
    transformObject: (document) => tidy(jsonSchemaTransformObject(document)),
  });
  if (!options.isProduction) await app.register(import('@fastify/swagger-ui'), { routePrefix: '/ui' });

  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/yaml').send(app.swagger({ yaml: true })),
  );
}

/** Of an address, for the document, either of the two: nothing where it is open to all. */
function securityOf(scope: Scope | 'open' | undefined): { security?: { [name: string]: string[] }[] } {
  return scope === undefined || scope === 'open' ? {} : { security: [{ apiKey: [scope] }, { session: [scope] }] };
}

type Document = ReturnType<typeof jsonSchemaTransformObject>;
/** As much of an OpenAPI document as is touched here. */
type Json = { [key: string]: Json } | Json[] | string | number | boolean;
type Open = {
  paths: Record<string, Record<string, Record<string, Json>>>;
  components: { schemas: Record<string, Json>; responses?: Record<string, Json>; securitySchemes?: Json };
};

/** The library lists every named schema twice, as input and as output; keeps what is referred to, under its plain name. */
function tidy(document: Document): Document {
  const open: Open = JSON.parse(JSON.stringify(document));
  const text = JSON.stringify(open.paths);
  const reference = (name: string) => `"#/components/schemas/${name}"`;
  const used = referredTo(open.components.schemas, text, reference);
  const plainName = (name: string) => {
    const plain = name.replace(/Input$/, '');
    return used.some(([other]) => other === plain) ? name : plain;
  };
  const plain = (json: unknown) =>
    JSON.parse(
      used.reduce((all, [name]) => all.replaceAll(reference(name), reference(plainName(name))), JSON.stringify(json)),
    );
  const schemas = Object.fromEntries(used.map(([name, schema]) => [plainName(name), plain(schema)]));
  const tidied = withCallbackForm({ paths: plain(open.paths), components: { ...open.components, schemas } });
  return { ...document, ...withCommonAnswers(tidied) } as Document;
}

/** Those that the text refers to, and those that these refer to. */
function referredTo(schemas: Record<string, Json>, text: string, reference: (name: string) => string) {
  let used: [string, Json][] = [];
  for (let reach = text, grown = true; grown; reach = text + JSON.stringify(used)) {
    const now = Object.entries(schemas).filter(([name]) => reach.includes(reference(name)));
    grown = now.length > used.length;
    used = now;
  }
  return used;
}

/** The callback reads its form itself, signature first, so no route schema describes it. */
function withCallbackForm(open: Open): Open {
  const text = () => ({ type: 'string' });
  const names = ['MessageSid', 'MessageStatus', 'ErrorCode', 'AccountSid', 'To', 'From'];
  const callback = open.paths['/dhos/v1/sms/callback']?.post ?? {};
  callback.parameters = [{ name: 'X-Twilio-Signature', in: 'header', required: true, schema: text() }];
  callback.requestBody = {
    required: true,
    content: {
      'application/x-www-form-urlencoded': {
        schema: {
          type: 'object',
          required: ['MessageSid', 'MessageStatus'],
          properties: Object.fromEntries(names.map((name) => [name, text()])),
          additionalProperties: text(),
        },
        example: { MessageSid: 'SM0123456789abcdef0123456789abcdef', MessageStatus: 'delivered' },
      },
    },
  };
  return open;
}

/** What is answered before a route is asked: they stand in the document once. */
const common: Readonly<Record<string, { name: string; description: string; methods?: readonly string[] }>> = {
  304: { name: 'Unchanged', description: 'It is still what `If-None-Match` names', methods: ['get'] },
  400: { name: 'BadRequest', description: 'The request is wrong: change it' },
  408: { name: 'TooSlow', description: 'The request did not arrive within 15 seconds, or its headers within 10' },
  413: { name: 'TooLarge', description: 'The body is larger than 64 KiB', methods: ['post', 'delete'] },
  414: { name: 'AddressTooLong', description: 'The address is longer than 12 KiB' },
  415: { name: 'UnsupportedMediaType', description: 'The body is compressed, or its Content-Type is not taken here' },
  431: { name: 'HeadersTooLarge', description: 'Address and headers together are larger than 16 KiB' },
};

function withCommonAnswers(open: Open): Open {
  const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  for (const [method, operation] of Object.values(open.paths).flatMap((methods) => Object.entries(methods))) {
    const others = Object.entries(common)
      .filter(([, { methods }]) => methods?.includes(method) ?? true)
      .map(([status, { name }]) => [status, { $ref: `#/components/responses/${name}` }]);
    operation.responses = { ...Object.fromEntries(others), ...(operation.responses as Record<string, Json>) };
  }
  open.components.responses = Object.fromEntries(
    Object.entries(common).map(([status, { name, description }]) => [
      name,
      { description, ...(status !== '304' && { content: problem }) },
    ]),
  );
  return open;
}
