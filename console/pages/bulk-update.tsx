import { useState } from 'preact/hooks';
import { api } from '../api/client.ts';
import { Confirm } from '../parts/confirm.tsx';
import { may, ownTenant } from '../session.ts';
import { count, many } from '../words.ts';

/** Heals a time without callbacks: asks Twilio about every open message, and then empties the finished ones there. */
export function BulkUpdate({ onDone }: { readonly onDone: () => void }) {
  const [isAsked, ask] = useState(false);
  const [said, say] = useState('');
  if (!may('sms:admin') || ownTenant() !== null) return null;
  const run = async () => {
    await start();
    const { asked, changed } = await api('GET /dhos/v1/sms/bulk_update/progress', {});
    say(`Twilio was asked about ${many(asked, 'message')}; of ${count(changed)} there was news.`);
    onDone();
  };
  return (
    <>
      <span role="status" class="soft">
        {said}
      </span>
      <button type="button" onClick={() => ask(true)}>
        Look at Twilio now
      </button>
      {isAsked && (
        <Confirm
          title="Look at Twilio now?"
          risk="Every message of the last 7 days that has not ended is asked for, a thousand with each request; those that have ended are then emptied at Twilio. Nothing is sent. It does no harm to do it twice."
          deed="Look now"
          onDo={run}
          onClose={() => ask(false)}
        />
      )}
    </>
  );
}

/** A long one outlives what a browser waits for: its progress says when it has ended. */
async function start(): Promise<void> {
  try {
    await api('POST /dhos/v1/sms/bulk_update', {});
  } catch (error) {
    const { running } = await api('GET /dhos/v1/sms/bulk_update/progress', {});
    if (!running) throw error;
    while ((await api('GET /dhos/v1/sms/bulk_update/progress', {})).running) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}
