import type { ComponentChildren } from 'preact';
import { useRoute } from 'preact-iso';
import { type Answer, api } from '../api/client.ts';
import { useLive } from '../api/live.ts';
import { Foreign, Mark, Status, Time } from '../parts/marks.tsx';
import { Shown } from '../parts/notes.tsx';
import { Page, Panel } from '../parts/panel.tsx';
import { useLink } from '../place.ts';
import { Actions } from './actions.tsx';
import { Reveal } from './reveal.tsx';
import { Timeline } from './timeline.tsx';

const EVERY_MS = 3_000;

export type Message = Answer<'GET /dhos/v1/sms/{message_id}'>;
export type Explanation = Answer<'GET /dhos/v1/sms/{message_id}/explanation'>;

async function readMessage(uuid: string, signal: AbortSignal) {
  const path = { message_id: uuid };
  const [message, explanation, events] = await Promise.all([
    api('GET /dhos/v1/sms/{message_id}', { path, query: { mask: 'true' }, signal }),
    api('GET /dhos/v1/sms/{message_id}/explanation', { path, signal }),
    api('GET /dhos/v1/sms/{message_id}/events', { path, signal }),
  ]);
  return { message, explanation, events };
}

/** Did it reach the patient, and if not, why? */
export function MessagePage() {
  const { params } = useRoute();
  const uuid = params.uuid ?? '';
  const live = useLive(`message ${uuid}`, (signal) => readMessage(uuid, signal), EVERY_MS);
  if (live.data === null && live.error?.status === 404) return <NoSuchMessage />;
  return (
    <Page title={`Message ${uuid.slice(0, 8)}`}>
      <Shown live={live} what="the message">
        {({ message, explanation, events }) => (
          <div class="message-page">
            <Why message={message} explanation={explanation} />
            <Actions message={message} explanation={explanation} onDone={live.refresh} />
            <Facts message={message} />
            <Panel title="What happened" className="history">
              <Timeline events={events} />
            </Panel>
          </div>
        )}
      </Shown>
    </Page>
  );
}

function NoSuchMessage() {
  const link = useLink();
  return (
    <Page title="There is no such message">
      <p class="note nothing">
        It was deleted, is another tenant’s, or never was. <a href={link('/messages')}>Find a message</a>
      </p>
    </Page>
  );
}

function Why({ message, explanation }: { readonly message: Message; readonly explanation: Explanation }) {
  const link = useLink();
  const { summary, tone, waits_for, until, error } = explanation;
  return (
    <section class={`panel why ${tone}`} aria-label="Why">
      <p class="summary" aria-live="polite" aria-atomic="true">
        <Status status={message.status} /> {summary}
      </p>
      {waits_for !== undefined && (
        <p>
          It waits for: {waits_for}
          {until !== undefined && (
            <>
              {' '}
              (<Time at={until} isSince />, <Time at={until} />)
            </>
          )}
        </p>
      )}
      {error !== undefined && (
        <dl>
          <Fact name="The error">
            {error.means} <a href={link(`/errors/${error.code}`)}>Error {error.code}</a>
          </Fact>
          <Fact name="What to do">{error.what_to_do}</Fact>
          <Fact name="Can we fix it?">
            <Mark tone={error.can_we_fix === 'no' ? 'neutral' : 'waiting'}>{error.can_we_fix}</Mark> {error.who}
          </Fact>
        </dl>
      )}
    </section>
  );
}

function Facts({ message }: { readonly message: Message }) {
  return (
    <Panel title="The message" className="facts">
      <Reveal message={message} />
      <dl>
        <Fact name="From">
          <Foreign text={message.sender} />
        </Fact>
        <Fact name="Tenant">
          <Foreign text={`${message.trustomer_code}/${message.product_name}`} />
        </Fact>
        <Fact name="Recorded">
          <Time at={message.created} />
        </Fact>
        {message.date_sent !== undefined && (
          <Fact name="With the carrier">
            <Time at={message.date_sent} />
          </Fact>
        )}
        {message.valid_until !== undefined && (
          <Fact name="Not to be sent after">
            <Time at={message.valid_until} />
          </Fact>
        )}
        <Fact name="Emptied at Twilio">
          {message.redacted === undefined ? notEmptied(message) : <Time at={message.redacted} />}
        </Fact>
        <Fact name="Id">
          <span class="id">{message.uuid}</span>
        </Fact>
        <Fact name="Twilio’s SID">
          {message.twilio_sid === undefined ? 'none' : <span class="id">{message.twilio_sid}</span>}
        </Fact>
      </dl>
    </Panel>
  );
}

/** What Twilio never took, it holds no text of. */
function notEmptied({ status, twilio_sid }: Message): string {
  return status === 'error' && twilio_sid === undefined ? 'nothing to empty: it is not at Twilio' : 'not yet';
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
