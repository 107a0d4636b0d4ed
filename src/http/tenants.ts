import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { listTenants } from '../message/searches.ts';
import { reachOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { answer, noQuery, problems } from './schemas.ts';

const tenants = z
  .array(z.object({ trustomer_code: z.string(), product_name: z.string() }))
  .meta({ id: 'Tenants', examples: [[{ trustomer_code: 'ouh', product_name: 'gdm' }]] });

export function tenantsRoute(app: HttpApp, db: Db): void {
  app.get(
    '/dhos/v1/tenants',
    {
      config: { scope: 'sms:read' },
      schema: {
        summary: 'The tenants that have messages, in the order of the alphabet; a key of one tenant sees that one',
        tags: ['sms'],
        querystring: noQuery,
        response: { 200: answer('The tenants', tenants), ...problems(400, 401, 403, 503) },
      },
    },
    async ({ caller }) => {
      const reach = reachOf(caller);
      const found =
        reach === 'all tenants' ? await listTenants(db, { trustomerCode: null, productName: null }) : [reach];
      return found.map(({ trustomerCode, productName }) => ({
        trustomer_code: trustomerCode,
        product_name: productName,
      }));
    },
  );
}
