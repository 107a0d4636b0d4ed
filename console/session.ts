import { signal } from '@preact/signals';
import { type Answer, api, whenSignedOut } from './api/client.ts';

/** Who is signed in. */
export type Session = Answer<'GET /dhos/v1/session'>;
export type SessionState =
  | { readonly kind: 'asking' }
  | { readonly kind: 'signed out'; readonly wasSignedIn: boolean }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'signed in'; readonly session: Session };

export const session = signal<SessionState>({ kind: 'asking' });

whenSignedOut(() => {
  session.value = { kind: 'signed out', wasSignedIn: session.value.kind === 'signed in' };
});

export async function readSession(): Promise<void> {
  try {
    session.value = { kind: 'signed in', session: await api('GET /dhos/v1/session', {}) };
  } catch (error) {
    const status = error instanceof Error && 'status' in error ? error.status : 0;
    session.value =
      status === 401 ? { kind: 'signed out', wasSignedIn: false } : { kind: 'failed', error: error as Error };
  }
}

/** Fails in words when the key is not good. */
export async function signIn(key: string): Promise<void> {
  session.value = { kind: 'signed in', session: await api('POST /dhos/v1/session', { body: { key } }) };
}

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
