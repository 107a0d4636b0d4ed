import type { Answer } from '../api/client.ts';
import { Status, Time } from '../parts/marks.tsx';
import { spanInWords } from '../times.ts';

type Happening = Answer<'GET /dhos/v1/sms/{message_id}/events'>[number];

/** From the request to the redaction, the oldest first, with the time between. */
export function Timeline({ events }: { readonly events: readonly Happening[] }) {
  return (
    <ol class="timeline">
      {events.map((event, n) => {
        const gapMs = gapBefore(events[n - 1], event);
        return (
          <li key={`${event.at} ${n}`} class={event.actor}>
            {gapMs >= LONG_MS && <p class="gap">{spanInWords(gapMs)} later</p>}
            <div class="what">
              <Time at={event.at} />
              <span class="soft">
                {gapMs > 0 && gapMs < LONG_MS && ` · ${spanInWords(gapMs)} later`} · {event.actor}
              </span>
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
        );
      })}
    </ol>
  );
}

/** From here on a gap stands between the two, for the eye. */
const LONG_MS = 10_000;

function gapBefore(before: Happening | undefined, { at }: Happening): number {
  return before === undefined ? 0 : new Date(at).getTime() - new Date(before.at).getTime();
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
