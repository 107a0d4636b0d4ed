import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api/client.ts';
import type { Live } from '../api/live.ts';
import { inWords } from '../times.ts';

/** What stands where data would: loading, nothing there, or a fault; never one looking like another. */

export function Loading({ what }: { readonly what: string }) {
  return (
    <p class="note loading" role="status">
      Reading {what} …
    </p>
  );
}

export function Nothing({ children }: { readonly children: ComponentChildren }) {
  return <p class="note nothing">{children}</p>;
}

export function Fault({
  error,
  what,
  lead = `Could not read ${what}.`,
  retry,
  since,
}: {
  readonly error: ApiError;
  readonly what?: string;
  readonly lead?: string;
  readonly retry?: (() => void) | undefined;
  /** What is still shown is of then. */
  readonly since?: Date | null | undefined;
}) {
  return (
    <div class="note fault">
      {/* Only what stays the same from one asking to the next: it is read out once. */}
      <span role="alert">
        <strong>{lead}</strong> {error.message}
        {since != null && <> What you see is of {inWords(since.toISOString())}.</>}
      </span>
      {error.requestId != null && <small> In the service’s log: {error.requestId}</small>}
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Shows what came, with a fault above it when the newest asking failed. */
export function Shown<T>({
  live,
  what,
  children,
}: {
  readonly live: Live<T>;
  readonly what: string;
  readonly children: (data: T) => ComponentChildren;
}) {
  const fault = live.error !== null && (
    <Fault error={live.error} what={what} retry={live.refresh} since={live.data === null ? null : live.at} />
  );
  if (live.data === null) return fault || <Loading what={what} />;
  return (
    <>
      {fault}
      {children(live.data)}
    </>
  );
}
