/** What a check of doctor came to. No secret, number or text in any of it. */
export type Finding = {
  readonly check: string;
  readonly result: 'ok' | 'FAILED' | 'skipped';
  readonly detail: string;
  /** What to do. */
  readonly advice?: string;
};

export type Result = Omit<Finding, 'check'>;

export function ok(detail: string): Result {
  return { result: 'ok', detail };
}

export function failed(detail: string, advice: string): Result {
  return { result: 'FAILED', detail, advice };
}

export function skipped(detail: string): Result {
  return { result: 'skipped', detail };
}
