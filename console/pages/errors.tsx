import { type Answer, api } from '../api/client.ts';
import { useLive } from '../api/live.ts';
import { DayBars } from '../parts/charts.tsx';
import { Mark } from '../parts/marks.tsx';
import { Nothing, Shown } from '../parts/notes.tsx';
import { Page, Panel } from '../parts/panel.tsx';
import { asWord, useLink, useTenant } from '../place.ts';
import { daysUpTo, now, startOfDay } from '../times.ts';
import { count } from '../words.ts';

const EVERY_MS = 30_000;
export const ERROR_DAYS = 30;

type ErrorCode = Answer<'GET /dhos/v1/error_codes'>[number];
type Counts = Answer<'GET /dhos/v1/error_counts'>['data'];

const classes = [
  { class: 'account', name: 'our account', tone: 'bad' },
  { class: 'configuration', name: 'our set-up', tone: 'unsettled' },
  { class: 'for good', name: 'for good', tone: 'neutral' },
  { class: 'later', name: 'for now', tone: 'waiting' },
  { class: 'not known', name: 'not known', tone: 'unknown' },
] as const;

const markOf = { account: 'bad', configuration: 'bad', 'for good': 'neutral', later: 'waiting' } as const;

export function nameOfClass(word: ErrorCode['class']): string {
  return classes.find((each) => each.class === word)?.name ?? word;
}

/** What goes wrong, by code: what it means, and whether we can do something about it. */
export function ErrorsPage() {
  const tenant = useTenant();
  const days = daysUpTo(now(), ERROR_DAYS);
  const live = useLive(
    `errors ${tenant === null ? '' : asWord(tenant)}`,
    async (signal) => {
      const query = { from: startOfDay(days[0] ?? ''), to: now().toISOString(), ...tenant };
      const [codes, counts] = await Promise.all([
        api('GET /dhos/v1/error_codes', { signal }),
        api('GET /dhos/v1/error_counts', { query, signal }),
      ]);
      return { codes, data: counts.data };
    },
    EVERY_MS,
  );
  return (
    <Page title="Errors" aside={<span class="soft">The last {ERROR_DAYS} days</span>}>
      <Shown live={live} what="the errors">
        {({ codes, data }) => (
          <>
            <Panel title="Errors a day">
              <DayBars
                title="Errors a day, by their kind"
                days={days}
                series={seriesOf(days, data, codes)}
                unit="messages"
              />
            </Panel>
            <Panel title="By code">
              <CodeTable days={days} data={data} codes={codes} />
            </Panel>
          </>
        )}
      </Shown>
    </Page>
  );
}

function seriesOf(days: readonly string[], data: Counts, codes: readonly ErrorCode[]) {
  const classOf = new Map(codes.map((each) => [each.code, each.class]));
  const sum = (day: string, word: string) =>
    Object.entries(data[day] ?? {}).reduce(
      (n, [code, times]) => n + ((classOf.get(code) ?? 'not known') === word ? times : 0),
      0,
    );
  return classes.map(({ class: word, name, tone }) => ({ name, tone, values: days.map((day) => sum(day, word)) }));
}

function CodeTable({
  days,
  data,
  codes,
}: {
  readonly days: readonly string[];
  readonly data: Counts;
  readonly codes: readonly ErrorCode[];
}) {
  const link = useLink();
  const total = new Map<string, number>();
  for (const counts of Object.values(data)) {
    for (const [code, times] of Object.entries(counts)) total.set(code, (total.get(code) ?? 0) + times);
  }
  if (total.size === 0) return <Nothing>Nothing went wrong in the last {days.length} days.</Nothing>;
  return (
    <table class="codes">
      <caption class="hidden">Errors by code, the most frequent first</caption>
      <thead>
        <tr>
          <th scope="col">code</th>
          <th scope="col">messages</th>
          <th scope="col">day by day</th>
          <th scope="col">what it means</th>
          <th scope="col">kind</th>
          <th scope="col">can we fix it?</th>
        </tr>
      </thead>
      <tbody>
        {[...total]
          .sort((a, b) => b[1] - a[1])
          .map(([code, times]) => {
            const known = codes.find((each) => each.code === code);
            return (
              <tr key={code}>
                <th scope="row" data-name="code">
                  <a href={link(`/errors/${encodeURIComponent(code)}`)}>{code}</a>
                </th>
                <td data-name="messages">{count(times)}</td>
                <td data-name="day by day">
                  <Spark values={days.map((day) => data[day]?.[code] ?? 0)} />
                </td>
                <td data-name="what it means">{known?.means ?? 'This service does not know this code.'}</td>
                <td data-name="kind">
                  {known !== undefined && <Mark tone={markOf[known.class]}>{nameOfClass(known.class)}</Mark>}
                </td>
                <td data-name="can we fix it">{known?.can_we_fix ?? 'not known'}</td>
              </tr>
            );
          })}
      </tbody>
    </table>
  );
}

/** A picture of the trend only: the code's own page has the numbers. */
function Spark({ values }: { readonly values: readonly number[] }) {
  const top = Math.max(1, ...values);
  return (
    <svg class="spark" viewBox={`0 0 ${values.length * 4} 24`} aria-hidden="true">
      {values.map((value, n) => (
        <rect
          key={n}
          class="fill neutral"
          x={n * 4}
          width="3"
          y={24 - (value / top) * 24}
          height={(value / top) * 24}
        />
      ))}
    </svg>
  );
}
