/** How often and how patiently a callback is tried. */
export type Overrides = {
  readonly retries: number;
  readonly policies: ReadonlySet<string>;
  readonly connectTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly totalMs: number;
};

/**
 * The connection overrides in the fragment of a callback URL, `#rc=5&rp=ct,rt,5xx&ct=2000&rt=2500`. Without any: one retry, and
 * only when the connection fails. Limits and defaults: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
 * (which does not say what becomes of a value out of range: here the nearest limit counts, and the default for what is no number).
 */
export function readOverrides(callbackUrl: string): Overrides {
  const fragment = new URLSearchParams(callbackUrl.split('#').slice(1).join('#'));
  const number = (name: string, least: number, most: number, otherwise: number) => {
    const given = fragment.get(name) ?? '';
    return /^\d+$/.test(given) ? Math.min(Math.max(Number(given), least), most) : otherwise;
  };
  return {
    retries: number('rc', 0, 5, 1),
    policies: new Set((fragment.get('rp') ?? 'ct').split(',')),
    connectTimeoutMs: number('ct', 100, 10_000, 5_000),
    readTimeoutMs: number('rt', 100, 15_000, 15_000),
    totalMs: number('tt', 100, 15_000, 15_000),
  };
}
