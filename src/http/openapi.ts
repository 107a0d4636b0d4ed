import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { HttpApp } from './app-type.ts';

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
      tags: [
        { name: 'sms', description: 'Messages' },
        { name: 'report', description: 'Counts' },
        { name: 'twilio', description: 'For Twilio only' },
        { name: 'system', description: 'For those who run the service' },
      ],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => tidy(jsonSchemaTransformObject(document)),
  });
  if (!options.isProduction) await app.register(import('@fastify/swagger-ui'), { routePrefix: '/ui' });

  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/yaml').send(app.swagger({ yaml: true })),
  );
}

type Document = ReturnType<typeof jsonSchemaTransformObject>;
/** As much of an OpenAPI document as is touched here. */
type Json = { [key: string]: Json } | Json[] | string | number | boolean;
type Open = {
  paths: Record<string, Record<string, Record<string, Json>>>;
  components: { schemas: Record<string, Json> };
};

/** The library lists every named schema twice, as input and as output; keeps what is referred to, under its plain name. */
function tidy(document: Document): Document {
  const open: Open = JSON.parse(JSON.stringify(document));
  const text = JSON.stringify(open.paths);
  const reference = (name: string) => `"#/components/schemas/${name}"`;
  const used = Object.entries(open.components.schemas).filter(([name]) => text.includes(reference(name)));
  const plainName = (name: string) => {
    const plain = name.replace(/Input$/, '');
    return used.some(([other]) => other === plain) ? name : plain;
  };
  const paths = used.reduce((all, [name]) => all.replaceAll(reference(name), reference(plainName(name))), text);
  const schemas = Object.fromEntries(used.map(([name, schema]) => [plainName(name), schema]));
  return { ...document, ...withCallbackForm({ paths: JSON.parse(paths), components: { schemas } }) } as Document;
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
