import { useEffect, useState } from 'preact/hooks';
import { type ApiError, api } from '../api/client.ts';
import { Foreign } from '../parts/marks.tsx';
import { Fault } from '../parts/notes.tsx';
import { may } from '../session.ts';
import type { Message } from './message.tsx';

/** What was revealed is covered again after so long, and as soon as nobody looks. */
const SHOWN_FOR_MS = 60_000;

/** Number and text: masked, until somebody who may asks for them. That goes on record. */
export function Reveal({ message }: { readonly message: Message }) {
  const [clear, setClear] = useState<Message | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const shown = clear ?? message;

  const isEmptied = message.number_emptied !== undefined && message.content_emptied !== undefined;

  useEffect(() => {
    if (clear === null) return;
    const cover = () => setClear(null);
    const onHidden = () => document.visibilityState === 'hidden' && cover();
    const timer = setTimeout(cover, SHOWN_FOR_MS);
    document.addEventListener('visibilitychange', onHidden);
    return () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onHidden);
    };
  }, [clear]);

  const reveal = async () => {
    setError(null);
    setBusy(true);
    try {
      setClear(await api('GET /dhos/v1/sms/{message_id}', { path: { message_id: message.uuid } }));
    } catch (failed) {
      setError(failed as ApiError);
    }
    setBusy(false);
  };
  return (
    <div class="reveal">
      <dl>
        <div>
          <dt>To</dt>
          <dd>
            {message.number_emptied === undefined ? <Foreign text={shown.receiver} /> : 'The number was emptied here.'}
          </dd>
        </div>
        <div>
          <dt>Text</dt>
          <dd class="text">
            {message.content_emptied === undefined ? <Foreign text={shown.content} /> : 'The text was emptied here.'}
          </dd>
        </div>
      </dl>
      {error !== null && <Fault error={error} what="text and number" />}
      {isEmptied ? null : may('sms:read:content') ? (
        <button
          type="button"
          aria-disabled={isBusy}
          onClick={clear === null ? () => !isBusy && reveal() : () => setClear(null)}
        >
          {clear === null ? 'Reveal text and number' : 'Cover them again'}
        </button>
      ) : (
        <p class="soft">Text and number in clear need a key with the scope sms:read:content.</p>
      )}
      <p class="soft" role="status" hidden={isEmptied}>
        {clear === null
          ? 'Who reveals goes on record.'
          : 'Text and number are shown. They are covered again after a minute, or when you look elsewhere.'}
      </p>
    </div>
  );
}
