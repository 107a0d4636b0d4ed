import type { Answer } from '../api/client.ts';
import { Status, Time } from '../parts/marks.tsx';
import { spanInWords } from '../times.ts';

type Happening = Answer<'GET /dhos/v1/sms/{message_id}/events'>[number];

/** From the request to the redaction, the oldest first, with the time between. */
export function Timeline({ events }: { readonly events: readonly Happening[] }) {
  return (
    <ol class="timeline">
      {events.map((event, n) => (
        <li key={`${event.at} ${n}`} class={event.actor}>
          <Gap before={events[n - 1]} event={event} />
          <div class="what">
            <Time at={event.at} /> <span class="soft">· {event.actor}</span>
            <p>
              {event.summary}
              {event.status_after !== undefined && event.status_after !== event.status_before && (
                <>
                  {' '}
                  <Status status={event.status_after} />
                </>
              )}
            </p>
            <Details event={event} />
          </div>
        </li>
      ))}
    </ol>
  );
}

/** Shorter gaps say nothing. */
const GAP_MS = 1_000;

function Gap({ before, event }: { readonly before: Happening | undefined; readonly event: Happening }) {
  if (before === undefined) return null;
  const ms = new Date(event.at).getTime() - new Date(before.at).getTime();
  return ms < GAP_MS ? null : <p class="gap">{spanInWords(ms)} later</p>;
}

/** Of a callback what Twilio sent, of an attempt what it answered; of the rest there is nothing more to say. */
function Details({ event }: { readonly event: Happening }) {
  const { what, attempt, http_status, twilio_sid, error_code, parameters } = event;
  if (http_status === undefined && error_code === undefined && parameters === undefined) return null;
  const facts = {
    ...(attempt !== undefined && { Attempt: String(attempt) }),
    ...(http_status !== undefined && { 'HTTP status': String(http_status) }),
    ...(twilio_sid !== undefined && { SID: twilio_sid }),
    ...(error_code !== undefined && { 'Error code': error_code }),
    ...parameters,
  };
  return (
    <details>
      <summary>{what === 'callback' ? 'What Twilio sent' : 'What Twilio answered'}</summary>
      <dl class="details">
        {Object.entries(facts).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="id">{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
