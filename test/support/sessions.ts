import { expect } from 'vitest';
import { createKey, ouh } from './keys.ts';
import type { Answer, TestService } from './service.ts';

export const SESSION = '/dhos/v1/session';
/** What the console sends with every change. */
export const marked = { 'x-polaris-console': '1' };

export type Cookie = { readonly cookie: string };

export function signIn(at: TestService, key: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const json = { 'content-type': 'application/json' };
  return at.call(SESSION, { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify({ key }) });
}

export function signOut(at: TestService, headers: Record<string, string>): Promise<Answer> {
  return at.call(SESSION, { method: 'DELETE', headers });
}

export function whoAmI(at: TestService, headers: Record<string, string>): Promise<Answer> {
  return at.call(SESSION, { headers });
}

/** What a browser would send back. */
function cookieOf(answer: Answer): Cookie {
  return { cookie: (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? '' };
}

/** A key, and a session that was opened with it. */
export async function signedIn(at: TestService, key: Parameters<typeof createKey>[1] = { tenant: ouh }) {
  const made = await createKey(at.databaseUrl, key);
  const answer = await signIn(at, made.text);
  expect(answer.status).toBe(200);
  return { ...made, answer, cookie: cookieOf(answer) };
}

export function sessionsOf(at: TestService, key: string) {
  return at.query('SELECT * FROM api_key WHERE session_of = $1', [key]);
}

export function revoke(at: TestService, key: string) {
  return at.query('UPDATE api_key SET revoked = now() WHERE id = $1', [key]);
}
