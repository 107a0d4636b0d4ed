import type { Registry } from 'prom-client';
import { z } from 'zod';
import { within } from '../clock.ts';
import type { HttpApp } from './app-type.ts';
import { answer, noQuery } from './schemas.ts';

/** Says `ok`, or throws or answers with what is wrong. */
type Check = () => Promise<string>;

export type HealthDeps = {
  readonly checks: Readonly<Record<string, Check>>;
  readonly registry: Registry;
  readonly version: { readonly circle: string; readonly hash: string; readonly version: string };
};

const CHECK_WITHIN_MS = 4_000;

const health = z
  .object({
    status: z.enum(['success', 'failure']),
    results: z.array(z.object({ checker: z.string(), passed: z.boolean(), output: z.string() })),
  })
  .meta({
    id: 'Health',
    examples: [{ status: 'success', results: [{ checker: 'database', passed: true, output: 'ok' }] }],
  });

/** What watches the service: is the process alive, can it work, which build is it, how is it doing. */
export function healthRoutes(app: HttpApp, deps: HealthDeps): void {
  runningRoute(app);

  app.get(
    '/version',
    {
      schema: {
        summary: 'Build number, git hash and version',
        tags: ['system'],
        querystring: noQuery,
        response: { 200: answer('The build', z.object({ circle: z.string(), hash: z.string(), version: z.string() })) },
      },
    },
    async () => deps.version,
  );

  app.get(
    '/healthcheck',
    {
      schema: {
        summary: 'Can it work? Each check by name; 503 when one fails',
        tags: ['system'],
        querystring: noQuery,
        response: { 200: answer('It can', health), 503: answer('It cannot; a check says why', health) },
      },
    },
    async (_request, reply) => {
      const results = await Promise.all(
        Object.entries(deps.checks).map(([checker, check]) => runCheck(checker, check)),
      );
      const isHealthy = results.every((result) => result.passed);
      reply.code(isHealthy ? 200 : 503).header('cache-control', 'no-store');
      return { status: isHealthy ? ('success' as const) : ('failure' as const), results };
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        summary: 'For Prometheus',
        tags: ['system'],
        querystring: noQuery,
        response: { 200: answer('Metrics', z.string(), 'text/plain') },
      },
    },
    async (_request, reply) => reply.type(deps.registry.contentType).send(await deps.registry.metrics()),
  );
}

export function runningRoute(app: HttpApp): void {
  app.get(
    '/running',
    {
      schema: {
        summary: 'The process is alive, whatever the database does',
        tags: ['system'],
        querystring: noQuery,
        response: { 200: answer('Alive', z.object({ running: z.literal(true) })) },
      },
    },
    async () => ({ running: true as const }),
  );
}

async function runCheck(checker: string, check: Check) {
  try {
    const output = await within(CHECK_WITHIN_MS, check());
    return { checker, passed: output === 'ok', output };
  } catch (error) {
    // Only the kind of error: its words may name hosts and users.
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return { checker, passed: false, output: `failed${code}` };
  }
}
