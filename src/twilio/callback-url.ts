import { withoutFragment } from './signature.ts';

/**
 * The URL that Twilio calls about one attempt: the configured one with our id in its query, so that a callback finds its
 * row even when the answer to the create was lost. The fragment, which Twilio keeps to itself, asks for more retries
 * than the one that is the default (TWILIO.md 11); a fragment in the configured URL wins over `overrides`.
 */
export function statusCallbackUrl(
  callbackUrl: string,
  overrides: string,
  attempt: { uuid: string; n: number },
): string {
  const base = withoutFragment(callbackUrl);
  const fragment = callbackUrl.slice(base.length + 1) || overrides;
  const query = `m=${encodeURIComponent(attempt.uuid)}&a=${attempt.n}`;
  return `${base}${base.includes('?') ? '&' : '?'}${query}${fragment === '' ? '' : `#${fragment}`}`;
}
