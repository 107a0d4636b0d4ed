import { z } from 'zod';
import { type Caller, may, scopes } from '../tenant/caller.ts';
import { text } from './fields.ts';
import { timestamp } from './schemas.ts';
import type { KeyCaller } from './session-cookie.ts';

const LONGEST_KEY = 200;

export const signIn = z
  .strictObject(
    { key: text(LONGEST_KEY).trim().describe('An API key') },
    { error: (issue) => (issue.code === 'invalid_type' ? 'a JSON object is expected' : undefined) },
  )
  .meta({ id: 'SignIn', examples: [{ key: 'polaris_3f2a9c01d4be_…' }] });

export const session = z
  .object({
    authentication: z.enum(['none', 'apikey']).describe('`none`: it is off, and whoever asks may do everything'),
    name: z.string().optional().describe("The key's"),
    trustomer_code: z.string().optional().describe('Without it: every tenant'),
    product_name: z.string().optional(),
    scopes: z.array(z.enum(scopes)).describe('What it may do, with what its scopes bring along'),
    expires: timestamp.optional().describe('When the session ends; not later than its key'),
  })
  .meta({
    id: 'Session',
    description: 'Who asks, and what they may do',
    examples: [
      {
        authentication: 'apikey',
        name: 'clinic',
        trustomer_code: 'ouh',
        product_name: 'gdm',
        scopes: ['sms:read', 'sms:report'],
        expires: '2026-11-24T03:20:45.616Z',
      },
    ],
  });

export function describeSession(caller: KeyCaller, expires: Date | undefined): z.output<typeof session> {
  const held: Caller = caller;
  return {
    authentication: 'apikey',
    name: caller.name,
    ...(caller.tenant !== null && {
      trustomer_code: caller.tenant.trustomerCode,
      product_name: caller.tenant.productName,
    }),
    scopes: scopes.filter((scope) => may(held, scope)),
    ...(expires !== undefined && { expires: expires.toISOString() }),
  };
}
