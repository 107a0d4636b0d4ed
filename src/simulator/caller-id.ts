/** Whose message, and which attempt, the caller says this is: `m` and `a` in the query of its callback URL. */
export type CallerId = { readonly m?: string; readonly a?: string };

/** A caller that follows no such habit has neither. */
export function callerIdIn(callbackUrl: string | null): CallerId {
  const query = callbackUrl?.split('#', 1)[0]?.split('?', 2)[1];
  if (query === undefined) return {};
  const names = new URLSearchParams(query);
  const [m, a] = [names.get('m'), names.get('a')];
  return { ...(m !== null && { m }), ...(a !== null && { a }) };
}
