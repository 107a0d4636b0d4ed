import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from '../api/client.ts';
import { Fault } from './notes.tsx';

/** A deed that cannot be taken back is asked for twice, with its risk said. The browser's own dialog keeps the focus inside. */
export function Confirm({
  title,
  risk,
  deed,
  isGrave = false,
  isReady = true,
  onDo,
  onClose,
  children,
}: {
  readonly title: string;
  readonly risk: string;
  /** What the button says. */
  readonly deed: string;
  readonly isGrave?: boolean;
  /** False: something has still to be chosen. */
  readonly isReady?: boolean;
  readonly onDo: () => Promise<void>;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    // Enter pressed once too often does not do what cannot be undone.
    if (isGrave) cancel.current?.focus();
  }, [isGrave]);

  const run = async () => {
    if (isBusy || !isReady) return;
    setBusy(true);
    setError(null);
    try {
      await onDo();
      onClose();
    } catch (failed) {
      setError(failed as ApiError);
      setBusy(false);
    }
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby="confirm-title"
      aria-describedby="confirm-risk"
      onClose={onClose}
      // What came of it is to be seen: the question stays until that is known.
      onKeyDown={(event) => isBusy && event.key === 'Escape' && event.preventDefault()}
      onCancel={(event) => isBusy && event.preventDefault()}
    >
      <h2 id="confirm-title">{title}</h2>
      <p id="confirm-risk">{risk}</p>
      {children}
      {error !== null && <Fault error={error} lead={leadOf(error)} />}
      <div class="buttons">
        <button
          type="button"
          class={isGrave ? 'grave' : 'main'}
          disabled={!isReady}
          aria-disabled={isBusy}
          onClick={run}
        >
          {isBusy ? 'One moment …' : deed}
        </button>
        <button ref={cancel} type="button" disabled={isBusy} onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </div>
    </dialog>
  );
}

/** A refusal did nothing; without an answer nobody knows. */
function leadOf({ status }: ApiError): string {
  return status >= 400 && status < 500 ? 'It was not done.' : 'It is not known whether it was done.';
}
