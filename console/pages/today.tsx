import { type Answer, api } from '../api/client.ts';
import { useLive } from '../api/live.ts';
import { DayBars, DayLines } from '../parts/charts.tsx';
import { Mark, Time } from '../parts/marks.tsx';
import { Nothing, Shown } from '../parts/notes.tsx';
import { Page, Panel } from '../parts/panel.tsx';
import { asWord, type Tenant, useLink, useTenant } from '../place.ts';
import { dayOf, daysBefore, daysUpTo, now, spanInWords, startOfDay } from '../times.ts';
import {
  type CountsByDay,
  count,
  type Groups,
  groups,
  many,
  share,
  sumGroups,
  type Tone,
  toneOfGroup,
  totalOf,
} from '../words.ts';
import { BulkUpdate } from './bulk-update.tsx';

const EVERY_MS = 5_000;
const CHART_EVERY_MS = 30_000;
const CHART_DAYS = 30;

/** How is it going, against yesterday and last week; and is anything wrong? */
export function TodayPage() {
  const tenant = useTenant();
  return (
    <Page title="Today">
      <Checks />
      <Funnel tenant={tenant} />
      <PerDay tenant={tenant} />
      <DeliveryTimes tenant={tenant} />
    </Page>
  );
}

function Checks() {
  const live = useLive('checks', (signal) => api('GET /dhos/v1/checks', { signal }), EVERY_MS);
  return (
    <Panel title="Health" className="checks" aside={<BulkUpdate onDone={live.refresh} />}>
      <Shown live={live} what="the checks">
        {(checks) => (
          <ul>
            {checks.map((check) => (
              <Check key={check.name} check={check} />
            ))}
          </ul>
        )}
      </Shown>
    </Panel>
  );
}

const toneOfCheck = { ok: 'good', failing: 'bad', unknown: 'unknown' } as const satisfies Record<string, Tone>;
const wordOfCheck = { ok: 'good', failing: 'failing', unknown: 'not known' } as const;

function Check({ check }: { readonly check: Answer<'GET /dhos/v1/checks'>[number] }) {
  return (
    <li class={check.state}>
      <Mark tone={toneOfCheck[check.state]}>{wordOfCheck[check.state]}</Mark>
      <div>
        <strong>{check.title}</strong>
        <p>
          {check.reason}
          {check.since !== undefined && (
            <small>
              {' '}
              Since <Time at={check.since} />.
            </small>
          )}
        </p>
      </div>
    </li>
  );
}

/** A day so far, and the same hours of yesterday and of a week ago: like is compared with like. */
async function readFunnel(tenant: Tenant | null, signal: AbortSignal) {
  const at = now();
  const [today, yesterday, lastWeek] = await Promise.all(
    [0, 1, 7].map(async (days) => {
      const end = daysBefore(at, days);
      const query = { start_date: startOfDay(dayOf(end)), end_date: end.toISOString(), ...tenant };
      return sumGroups((await api('GET /dhos/v1/sms_status_counts', { query, signal })).data);
    }),
  );
  return { today: today as Groups, yesterday: yesterday as Groups, lastWeek: lastWeek as Groups };
}

const stages: readonly { name: string; tone: Tone; hint: string; of: (sum: Groups) => number; status: string }[] = [
  { name: 'Accepted', tone: 'neutral', hint: 'recorded here', of: totalOf, status: '' },
  {
    name: 'Sent',
    tone: 'waiting',
    hint: 'the carrier had it',
    of: (sum) => sum.sent + sum.delivered,
    status: 'sent,delivered,read',
  },
  { name: 'Delivered', tone: 'good', hint: 'reached the phone', of: (sum) => sum.delivered, status: 'delivered,read' },
  { name: 'Failed', tone: 'bad', hint: 'will not arrive', of: (sum) => sum.failed, status: 'undelivered,failed,error' },
  { name: 'Unknown', tone: 'unknown', hint: 'nobody knows yet', of: (sum) => sum.unknown, status: 'unconfirmed' },
];

function Funnel({ tenant }: { readonly tenant: Tenant | null }) {
  const link = useLink();
  const key = `funnel ${tenant === null ? '' : asWord(tenant)}`;
  const live = useLive(key, (signal) => readFunnel(tenant, signal), EVERY_MS);
  const from = startOfDay(dayOf(now())).slice(0, 10);
  return (
    <Panel
      title="Messages so far today"
      aside={<span class="soft">since midnight UTC; it is {now().toISOString().slice(11, 16)} UTC</span>}
    >
      <Shown live={live} what="the counts">
        {({ today, yesterday, lastWeek }) => (
          <ol class="funnel">
            {stages.map(({ name, tone, hint, of, status }) => (
              <li key={name} class={tone}>
                <a href={link('/messages', { from, to: from, status })}>
                  <span class="name">{name}</span>
                  <span class="figure">{count(of(today))}</span>
                  <span class="soft">
                    {name === 'Accepted' ? hint : `${share(of(today), totalOf(today))} · ${hint}`}
                  </span>
                </a>
                <dl>
                  <dt>yesterday by now</dt>
                  <dd>{count(of(yesterday))}</dd>
                  <dt>a week ago by now</dt>
                  <dd>{count(of(lastWeek))}</dd>
                </dl>
              </li>
            ))}
          </ol>
        )}
      </Shown>
    </Panel>
  );
}

function PerDay({ tenant }: { readonly tenant: Tenant | null }) {
  const days = daysUpTo(now(), CHART_DAYS);
  const key = `days ${tenant === null ? '' : asWord(tenant)}`;
  const ask = async (signal: AbortSignal) => {
    const query = { start_date: startOfDay(days[0] ?? ''), end_date: now().toISOString(), ...tenant };
    return (await api('GET /dhos/v1/sms_status_counts', { query, signal })).data;
  };
  const live = useLive(key, ask, CHART_EVERY_MS);
  return (
    <Panel title="Messages a day">
      <Shown live={live} what="the last 30 days">
        {(data) => (
          <DayBars
            title="Messages a day, by what became of them"
            days={days}
            series={seriesOf(days, data)}
            unit="messages"
          />
        )}
      </Shown>
    </Panel>
  );
}

function seriesOf(days: readonly string[], data: CountsByDay) {
  const sums = days.map((day) => sumGroups({ [day]: data[day] ?? {} }));
  return groups.map((group) => ({
    name: group,
    tone: group === 'cancelled' ? 'cancelled' : toneOfGroup[group],
    values: sums.map((sum) => sum[group]),
  }));
}

function DeliveryTimes({ tenant }: { readonly tenant: Tenant | null }) {
  const days = daysUpTo(now(), CHART_DAYS);
  const query = { from: startOfDay(days[0] ?? ''), to: now().toISOString(), ...tenant };
  const key = `delivery ${tenant === null ? '' : asWord(tenant)}`;
  const live = useLive(key, (signal) => api('GET /dhos/v1/delivery_times', { query, signal }), CHART_EVERY_MS);
  return (
    <Panel title="From Twilio’s yes to the phone">
      <Shown live={live} what="the delivery times">
        {(times) =>
          times.count === 0 ? (
            <Nothing>Nothing was delivered in the last {CHART_DAYS} days.</Nothing>
          ) : (
            <>
              <p>
                Half of them within <strong>{words(times.median_s)}</strong>, 95 % within{' '}
                <strong>{words(times.p95_s)}</strong>
                <span class="soft"> · {many(times.count, 'delivered message')} looked at</span>
              </p>
              <DayLines
                title="Delivery times a day"
                days={days}
                unit="median and 95 %"
                show={(seconds) => spanInWords(seconds * 1000)}
                series={[
                  {
                    name: 'half of them within',
                    tone: 'good',
                    values: days.map((day) => dayIn(times, day)?.median_s ?? null),
                  },
                  { name: '95 % within', tone: 'waiting', values: days.map((day) => dayIn(times, day)?.p95_s ?? null) },
                ]}
              />
            </>
          )
        }
      </Shown>
    </Panel>
  );
}

function dayIn({ days }: Answer<'GET /dhos/v1/delivery_times'>, day: string) {
  return days.find((each) => each.day === day);
}

function words(seconds: number | undefined): string {
  return seconds === undefined ? '–' : spanInWords(seconds * 1000);
}
