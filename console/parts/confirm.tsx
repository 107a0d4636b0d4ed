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
  onDo,
  onClose,
  children,
}: {
  readonly title: string;
  readonly risk: string;
  /** What the button says. */
  readonly deed: string;
  readonly isGrave?: boolean;
  readonly onDo: () => Promise<void>;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => dialog.current?.showModal(), []);

  const run = async () => {
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
    <dialog ref={dialog} aria-labelledby="confirm-title" onClose={onClose}>
      <h2 id="confirm-title">{title}</h2>
      <p>{risk}</p>
      {children}
      {error !== null && <Fault error={error} what="what came of it" />}
      <div class="buttons">
        <button type="button" class={isGrave ? 'grave' : 'main'} disabled={isBusy} onClick={run}>
          {isBusy ? 'One moment …' : deed}
        </button>
        <button type="button" disabled={isBusy} onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </div>
    </dialog>
  );
}
