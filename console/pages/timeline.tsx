import type { Answer } from '../api/client.ts';
import { Status, Time } from '../parts/marks.tsx';
import { useLink } from '../place.ts';
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

function Details({ event }: { readonly event: Happening }) {
  const link = useLink();
  const { attempt, http_status, twilio_sid, error_code, parameters = {} } = event;
  const facts: [string, string][] = [
    ...(attempt === undefined ? [] : [['Attempt', String(attempt)] as [string, string]]),
    ...(http_status === undefined ? [] : [['Twilio answered', `HTTP ${http_status}`] as [string, string]]),
    ...(twilio_sid === undefined ? [] : [['SID', twilio_sid] as [string, string]]),
    ...Object.entries(parameters),
  ];
  if (facts.length === 0 && error_code === undefined) return null;
  return (
    <details>
      <summary>{event.what === 'callback' ? 'What Twilio sent' : 'What Twilio answered'}</summary>
      <dl class="details">
        {error_code !== undefined && (
          <div>
            <dt>Error code</dt>
            <dd>
              <a href={link(`/errors/${encodeURIComponent(error_code)}`)}>{error_code}</a>
            </dd>
          </div>
        )}
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="id">{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
