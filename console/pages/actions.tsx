import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { ApiError, api } from '../api/client.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Panel } from '../parts/panel.tsx';
import { useLink } from '../place.ts';
import { may } from '../session.ts';
import type { Explanation, Message } from './message.tsx';

type Action = Explanation['actions'][number]['action'];
type Deed = {
  readonly name: string;
  readonly deed: string;
  readonly scope: 'sms:send' | 'sms:delete' | 'sms:admin';
  readonly isGrave?: boolean;
};

const deeds: Readonly<Record<Action, Deed>> = {
  poll: { name: 'Look at Twilio now', deed: 'Look now', scope: 'sms:admin' },
  send_again: { name: 'Send again', deed: 'Send a new message', scope: 'sms:send' },
  settle: { name: 'Settle it', deed: '', scope: 'sms:admin' },
  delete: { name: 'Delete', deed: 'Delete it', scope: 'sms:delete', isGrave: true },
  erase: { name: 'Erase text and number', deed: 'Erase them', scope: 'sms:delete', isGrave: true },
};

/** What an operator can do, each with its risk; what is not possible says why. */
export function Actions({
  message,
  explanation,
  onDone,
}: {
  readonly message: Message;
  readonly explanation: Explanation;
  readonly onDone: () => void;
}) {
  const [chosen, choose] = useState<Action | null>(null);
  const [said, say] = useState('');
  const done = (words: string) => {
    say(words);
    onDone();
  };
  const risk = explanation.actions.find(({ action }) => action === chosen)?.risk ?? '';
  return (
    <Panel title="What you can do" className="actions">
      <ul>
        {explanation.actions.map(({ action, possible, reason }) => {
          const isAllowed = may(deeds[action].scope);
          const why = isAllowed ? reason : `needs a key with the scope ${deeds[action].scope}`;
          return (
            <li key={action}>
              <button
                type="button"
                disabled={!possible || !isAllowed}
                aria-describedby={why === undefined ? undefined : `why-${action}`}
                onClick={() => choose(action)}
              >
                {deeds[action].name}
              </button>
              {why !== undefined && (!possible || !isAllowed) && (
                <span id={`why-${action}`} class="soft">
                  {why}
                </span>
              )}
            </li>
          );
        })}
      </ul>
      <p role="status">{said}</p>
      {chosen !== null && (
        <Chosen key={chosen} action={chosen} risk={risk} message={message} onDone={done} onClose={() => choose(null)} />
      )}
    </Panel>
  );
}

function Chosen({
  action,
  risk,
  message,
  onDone,
  onClose,
}: {
  readonly action: Action;
  readonly risk: string;
  readonly message: Message;
  readonly onDone: (words: string) => void;
  readonly onClose: () => void;
}) {
  const { route } = useLocation();
  const link = useLink();
  // One key for as long as the question stands: pressed twice, or after a fault, it is still one new message.
  const [key] = useState(newKey);
  const [outcome, setOutcome] = useState<'sent' | 'not-sent' | null>(null);
  const path = { message_id: message.uuid };
  const headers = { 'x-trustomer': message.trustomer_code, 'x-product': message.product_name };
  const run: Readonly<Record<Action, () => Promise<void>>> = {
    poll: async () => {
      const { said, changed } = await api('POST /dhos/v1/sms/{message_id}/poll', { path });
      onDone(changed ? `Twilio says ${said}: that is news.` : `Twilio says ${said ?? 'nothing'}: nothing new.`);
    },
    send_again: async () => {
      const uuid = await sendAgain(message, { ...headers, 'idempotency-key': key });
      route(link(`/messages/${uuid}`));
    },
    settle: async () => {
      if (outcome === null) return;
      await api('POST /dhos/v1/sms/{message_id}/settle', { path, body: { outcome } });
      onDone('It is settled.');
    },
    delete: async () => {
      await api('DELETE /dhos/v1/sms/{message_id}', { path, headers });
      route(link('/messages'));
    },
    erase: async () => {
      await api('DELETE /dhos/v1/sms/{message_id}', { path, query: { erase: 'true' }, headers });
      route(link('/messages'));
    },
  };
  const { name, deed, isGrave = false } = deeds[action];
  return (
    <Confirm
      title={`${name}?`}
      risk={`The risk: ${risk}`}
      deed={action === 'settle' ? settled[outcome ?? 'unchosen'] : deed}
      isReady={action !== 'settle' || outcome !== null}
      isGrave={isGrave}
      onDo={run[action]}
      onClose={onClose}
    >
      {action === 'settle' && (
        <fieldset>
          <legend>What did Twilio’s console show?</legend>
          {(['sent', 'not-sent'] as const).map((each) => (
            <label key={each}>
              <input type="radio" name="outcome" checked={outcome === each} onChange={() => setOutcome(each)} />{' '}
              {each === 'sent' ? 'the message is there: it was sent' : 'it is not there: it was not sent'}
            </label>
          ))}
        </fieldset>
      )}
    </Confirm>
  );
}

const settled = { sent: 'It was sent', 'not-sent': 'It was not sent', unchosen: 'Settle it' } as const;

/** The new message's uuid. One that Twilio refuses is recorded too: its own page says why. */
async function sendAgain({ uuid }: Message, headers: Readonly<Record<string, string>>): Promise<string> {
  try {
    return (await api('POST /dhos/v1/sms/{message_id}/send_again', { path: { message_id: uuid }, headers })).uuid;
  } catch (failed) {
    const recorded = failed instanceof ApiError ? failed.messageId : null;
    if (recorded === null || recorded === uuid) throw failed;
    return recorded;
  }
}

/** Not crypto.randomUUID, which browsers keep from pages that came by plain HTTP. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
