import type { Author, Reach, Tenant } from '../message/message.ts';

/** What a caller may do; a key has some of them. README, "Who may do what". */
export const scopes = ['sms:send', 'sms:read', 'sms:read:content', 'sms:delete', 'sms:report', 'sms:admin'] as const;
export type Scope = (typeof scopes)[number];

/** Who asks. `anyone`: authentication is off, or the address is open to all; it is trusted as the Python service trusted. */
export type Caller =
  | { readonly kind: 'anyone' }
  | {
      readonly kind: 'key';
      readonly id: string;
      readonly name: string;
      /** Null: it acts for whichever tenant its requests name. */
      readonly tenant: Tenant | null;
      readonly scopes: readonly Scope[];
      /** Signed in to the console with that key. */
      readonly session?: { readonly id: string; readonly expires: Date };
    };

export const anyone: Caller = { kind: 'anyone' };

/**
 * `sms:admin` brings the others along, but for texts and numbers in clear: who runs the service need not read what patients
 * are sent. Who may read those may read the rest.
 */
export function may(caller: Caller, scope: Scope): boolean {
  if (caller.kind === 'anyone' || caller.scopes.includes(scope)) return true;
  if (scope === 'sms:read' && caller.scopes.includes('sms:read:content')) return true;
  return scope !== 'sms:read:content' && caller.scopes.includes('sms:admin');
}

/** Texts and numbers as they are, or masked. */
export type View = 'clear' | 'masked';

export function viewOf(caller: Caller): View {
  return may(caller, 'sms:read:content') ? 'clear' : 'masked';
}

export function reachOf(caller: Caller): Reach {
  return caller.kind === 'key' && caller.tenant !== null ? caller.tenant : 'all tenants';
}

/** Whose name goes on record. */
export function authorOf(caller: Caller): Author {
  return caller.kind === 'key' ? { id: caller.id, name: caller.name } : null;
}
