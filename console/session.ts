import { signal } from '@preact/signals';
import { type Answer, ApiError, api, whenSignedOut } from './api/client.ts';

/** Who is signed in. */
export type Session = Answer<'GET /dhos/v1/session'>;
export type SessionState =
  | { readonly kind: 'asking' }
  | { readonly kind: 'signed out'; readonly wasSignedIn: boolean }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'signed in'; readonly session: Session };

export const session = signal<SessionState>({ kind: 'asking' });

whenSignedOut(() => {
  // Several calls may be told so at the same time: the first one counts.
  const { kind } = session.value;
  if (kind !== 'signed out') session.value = { kind: 'signed out', wasSignedIn: kind === 'signed in' };
});

/** Another tab may have signed in with another key, or out: whoever comes back here sees as whom they act. */
export async function readSessionAgain(): Promise<void> {
  const before = session.value;
  if (before.kind !== 'signed in') return;
  try {
    const now = await api('GET /dhos/v1/session', {});
    const isSame = JSON.stringify(now) === JSON.stringify(before.session);
    if (!isSame && session.value === before) session.value = { kind: 'signed in', session: now };
  } catch (error) {
    const isOver = error instanceof ApiError && error.status === 401;
    if (isOver && session.value === before) session.value = { kind: 'signed out', wasSignedIn: true };
  }
}

export async function readSession(): Promise<void> {
  try {
    session.value = { kind: 'signed in', session: await api('GET /dhos/v1/session', {}) };
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 0;
    session.value =
      status === 401 ? { kind: 'signed out', wasSignedIn: false } : { kind: 'failed', error: error as Error };
  }
}

/** Fails in words when the key is not good. */
export async function signIn(key: string): Promise<void> {
  session.value = { kind: 'signed in', session: await api('POST /dhos/v1/session', { body: { key } }) };
}

/** Fails when the service cannot be told: the session goes on then. */
export async function signOut(): Promise<void> {
  await api('DELETE /dhos/v1/session', {});
  session.value = { kind: 'signed out', wasSignedIn: false };
}

export function may(scope: Session['scopes'][number]): boolean {
  const state = session.value;
  if (state.kind !== 'signed in') return false;
  const { scopes } = state.session;
  if (scopes.includes(scope)) return true;
  if (scope === 'sms:read' && scopes.includes('sms:read:content')) return true;
  return scope !== 'sms:read:content' && scopes.includes('sms:admin');
}

/** Null: the key acts for every tenant. */
export function ownTenant() {
  const state = session.value;
  if (state.kind !== 'signed in') return null;
  const { trustomer_code, product_name } = state.session;
  return trustomer_code === undefined || product_name === undefined ? null : { trustomer_code, product_name };
}
