import { type ErrorEntry, errorTable } from './error-table.ts';

/**
 * What Twilio's error codes mean for us.
 * - `account`: the account or its credentials; nothing can be sent until somebody mends it (alarm).
 * - `for good`: this message can never be sent or delivered.
 * - `configuration`: this message is refused because of how the account is set up (alarm).
 * - `later`: the same message may be taken later.
 */
export type ErrorClass = 'account' | 'for good' | 'configuration' | 'later';

export type ErrorCode = ErrorEntry & { readonly code: string };

/** All that the table knows, by code. */
export const errorCodes: readonly ErrorCode[] = Object.entries(errorTable).map(([code, entry]) => ({ code, ...entry }));

/** Null for a code that is not in the table. */
export function errorCodeOf(code: string | null): ErrorCode | null {
  return errorCodes.find((known) => known.code === code) ?? null;
}

/** The code in words; null for one that is not in the table. */
export function meaningOf(code: string | null): string | null {
  return code === null ? null : (errorTable[code]?.means ?? null);
}

/** The class of a complete refusal. An unknown code takes the class of its HTTP status. */
export function classOf(httpStatus: number, code: string | null): ErrorClass {
  if (httpStatus === 429) return 'later';
  const known = code === null ? undefined : errorTable[code];
  if (known !== undefined) return known.class;
  return httpStatus === 401 || httpStatus === 403 || httpStatus === 404 ? 'account' : 'for good';
}
