import { useRoute } from 'preact-iso';
import { type Answer, api } from '../api/client.ts';
import { useLive } from '../api/live.ts';
import { DayBars } from '../parts/charts.tsx';
import { Foreign, Mark } from '../parts/marks.tsx';
import { Nothing, Shown } from '../parts/notes.tsx';
import { Page, Panel } from '../parts/panel.tsx';
import { asWord, useLink, useTenant } from '../place.ts';
import { may } from '../session.ts';
import { dayOf, daysUpTo, now, startOfDay } from '../times.ts';
import { count } from '../words.ts';
import { ERROR_DAYS, nameOfClass } from './errors.tsx';
import { type Found, MessageTable } from './message-table.tsx';

const EVERY_MS = 30_000;
const LATEST = 10;

async function readCode(code: string, range: { from: string; to: string }, tenant: object, signal: AbortSignal) {
  const [codes, counts, latest] = await Promise.all([
    api('GET /dhos/v1/error_codes', { signal }),
    api('GET /dhos/v1/error_counts', { query: { ...range, error_code: code, ...tenant }, signal }),
    may('sms:read')
      ? api('POST /dhos/v1/sms_search', { body: { error_code: [code], limit: LATEST, ...tenant }, signal })
      : null,
  ]);
  return { known: codes.find((each) => each.code === code), counts, latest: latest?.messages ?? null };
}

/** One code: what it means, what to do, whom it hits. */
export function ErrorCodePage() {
  const code = useRoute().params.code ?? '';
  const tenant = useTenant();
  const link = useLink();
  const days = daysUpTo(now(), ERROR_DAYS);
  const range = { from: startOfDay(days[0] ?? ''), to: now().toISOString() };
  const key = `error ${code} ${tenant === null ? '' : asWord(tenant)}`;
  const live = useLive(key, (signal) => readCode(code, range, tenant ?? {}, signal), EVERY_MS);
  return (
    <Page title={`Error ${code}`} aside={<a href={link('/errors')}>All errors</a>}>
      <Shown live={live} what="this error">
        {({ known, counts, latest }) => (
          <>
            <Meaning code={code} known={known} />
            <Panel title="Messages a day">
              <DayBars
                title={`Messages with error ${code} a day`}
                days={days}
                series={[
                  { name: `error ${code}`, tone: 'bad', values: days.map((day) => counts.data[day]?.[code] ?? 0) },
                ]}
                unit="messages"
              />
            </Panel>
            <Tenants tenants={counts.tenants} />
            <Panel
              title="The latest"
              aside={<a href={link('/messages', { code, from: days[0], to: dayOf(now()) })}>All of them</a>}
            >
              <Latest messages={latest} />
            </Panel>
          </>
        )}
      </Shown>
    </Page>
  );
}

/** Null: the key may not read messages. */
function Latest({ messages }: { readonly messages: readonly Found[] | null }) {
  if (messages === null) return <Nothing>To see messages, a key needs the scope sms:read.</Nothing>;
  return messages.length === 0 ? <Nothing>No message has this error.</Nothing> : <MessageTable messages={messages} />;
}

function Meaning({
  code,
  known,
}: {
  readonly code: string;
  readonly known: Answer<'GET /dhos/v1/error_codes'>[number] | undefined;
}) {
  if (known === undefined) {
    return (
      <Panel title="What it means">
        <p>
          This service does not know the code {code}. Twilio’s list of errors has it:{' '}
          <span class="id">twilio.com/docs/api/errors</span>
        </p>
      </Panel>
    );
  }
  return (
    <Panel title="What it means" className="meaning">
      <p class="summary">{known.means}</p>
      <dl>
        <div>
          <dt>What to do</dt>
          <dd>{known.what_to_do}</dd>
        </div>
        <div>
          <dt>Can we fix it?</dt>
          <dd>
            <Mark tone={known.can_we_fix === 'no' ? 'neutral' : 'waiting'}>{known.can_we_fix}</Mark> {known.who}
          </dd>
        </div>
        <div>
          <dt>Kind</dt>
          <dd>{nameOfClass(known.class)}</dd>
        </div>
      </dl>
    </Panel>
  );
}

function Tenants({ tenants }: { readonly tenants: Answer<'GET /dhos/v1/error_counts'>['tenants'] }) {
  return (
    <Panel title="Whom it hits">
      {tenants.length === 0 ? (
        <Nothing>Nobody in the last {ERROR_DAYS} days.</Nothing>
      ) : (
        <table>
          <caption class="hidden">Tenants by how many of their messages have this error</caption>
          <thead>
            <tr>
              <th scope="col">tenant</th>
              <th scope="col">messages</th>
            </tr>
          </thead>
          <tbody>
            {tenants.map((tenant) => (
              <tr key={asWord(tenant)}>
                <th scope="row">
                  <Foreign text={asWord(tenant)} />
                </th>
                <td>{count(tenant.count)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
