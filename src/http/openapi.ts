import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
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
    transformObject: jsonSchemaTransformObject,
  });
  if (!options.isProduction) await app.register(swaggerUi, { routePrefix: '/ui' });

  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/yaml').send(app.swagger({ yaml: true })),
  );
}
