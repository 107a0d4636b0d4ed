import type { ComponentChildren } from 'preact';
import { type Answer, api } from '../api/client.ts';
import { useLive } from '../api/live.ts';
import { Mark, Time } from '../parts/marks.tsx';
import { Shown } from '../parts/notes.tsx';
import { Page, Panel } from '../parts/panel.tsx';
import { asWord, type Tenant, useQuery, useTenant } from '../place.ts';
import { ownTenant } from '../session.ts';
import { boundsOfMonth, monthInWords, monthsUpTo, now, utcInWords } from '../times.ts';
import { count, many } from '../words.ts';

/** A month changes slowly, and every message of it is counted each time. */
const EVERY_MS = 300_000;
const MONTHS = 24;

type Report = Answer<'GET /dhos/v1/redaction_report'>;

async function readReport(month: string, tenant: Tenant | null, signal: AbortSignal): Promise<Report> {
  const query = { ...boundsOfMonth(month), ...(tenant === null && { all_tenants: 'true' as const }) };
  const headers = tenant === null ? {} : { 'x-trustomer': tenant.trustomer_code, 'x-product': tenant.product_name };
  return api('GET /dhos/v1/redaction_report', { query, headers, signal });
}

/** The statement for a month: what became of the texts. It prints as it stands. */
export function PrivacyPage() {
  const { query, set } = useQuery();
  const chosen = useTenant();
  const tenant = ownTenant() ?? chosen;
  const months = monthsUpTo(now(), MONTHS);
  const month = /^\d{4}-(0[1-9]|1[0-2])$/.test(query.month ?? '') ? (query.month ?? '') : (months[0] ?? '');
  const whose = tenant === null ? 'all tenants' : asWord(tenant);
  const live = useLive(`privacy ${month} ${whose}`, (signal) => readReport(month, tenant, signal), EVERY_MS);
  return (
    <Page
      title="Privacy"
      aside={
        <div class="buttons">
          <label>
            <span class="hidden">Month</span>
            <select value={month} onChange={(event) => set({ month: event.currentTarget.value })}>
              {(months.includes(month) ? months : [month, ...months]).map((each) => (
                <option key={each} value={each}>
                  {monthInWords(each)}
                </option>
              ))}
            </select>
          </label>
          <button type="button" class="main" onClick={() => window.print()}>
            Print the statement
          </button>
        </div>
      }
    >
      <Shown live={live} what="the report">
        {(report) => (
          <>
            <Figures report={report} />
            <Statement report={report} month={month} whose={whose} />
          </>
        )}
      </Shown>
    </Page>
  );
}

function Figures({ report }: { readonly report: Report }) {
  return (
    <section class="figures no-print" aria-label="Figures">
      <Figure name="Emptied at Twilio" value={report.emptied_at_twilio} tone="good" />
      <Figure name="Outstanding" value={report.outstanding} tone={report.outstanding === 0 ? 'good' : 'bad'}>
        {report.oldest_outstanding !== undefined && (
          <>
            the oldest of <Time at={report.oldest_outstanding} />
          </>
        )}
      </Figure>
      <Figure name="Not ended yet" value={report.unfinished} tone="waiting" />
      <Figure name="Texts emptied here" value={report.emptied_here} tone="neutral" />
      <Figure name="Numbers emptied here" value={report.numbers_emptied_here} tone="neutral" />
    </section>
  );
}

function Figure({
  name,
  value,
  tone,
  children,
}: {
  readonly name: string;
  readonly value: number;
  readonly tone: string;
  readonly children?: ComponentChildren;
}) {
  return (
    <div class={`panel figure-panel ${tone}`}>
      <span class="name">{name}</span>
      <span class="figure">{count(value)}</span>
      <small>{children}</small>
    </div>
  );
}

function Statement({
  report,
  month,
  whose,
}: {
  readonly report: Report;
  readonly month: string;
  readonly whose: string;
}) {
  const {
    finished,
    emptied_at_twilio,
    outstanding,
    oldest_outstanding,
    unfinished,
    emptied_here,
    numbers_emptied_here,
    left_alone,
  } = report;
  return (
    <Panel title={`Statement for ${monthInWords(month)}`} className="statement">
      <p>
        <Mark tone={outstanding === 0 ? 'good' : 'bad'}>
          {outstanding === 0 ? 'nothing is outstanding' : `${count(outstanding)} outstanding`}
        </Mark>
      </p>
      <p>
        This is what became of the texts of the messages of <strong>{whose}</strong> that were recorded from{' '}
        {report.from.slice(0, 10)} to {report.to.slice(0, 10)} (UTC days), deleted ones included.
      </p>
      <ol>
        <li>{many(finished, 'message')} had been taken by Twilio and had ended.</li>
        <li>
          Of these, {many(emptied_at_twilio, 'text')} {emptied_at_twilio === 1 ? 'was' : 'were'} emptied at Twilio:
          Twilio’s answer showed the empty text, or Twilio no longer had the message.
        </li>
        <li>
          {outstanding === 0 ? 'None was' : `${count(outstanding)} ${outstanding === 1 ? 'was' : 'were'}`} outstanding
          {oldest_outstanding !== undefined && <>, the oldest recorded at {utcInWords(oldest_outstanding)}</>}.
          {outstanding > 0 && ' Each is tried again until it is emptied.'}
        </li>
        <li>{many(unfinished, 'message')} had not ended; their texts may not be emptied at Twilio before they have.</li>
        <li>
          In this service’s own database {many(emptied_here, 'text')} and {many(numbers_emptied_here, 'number')} had
          been emptied.
        </li>
        {left_alone > 0 && (
          <li>{many(left_alone, 'message')} ended before this service took over, and were left as they were.</li>
        )}
      </ol>
      <p class="soft">Counted at {utcInWords(report.measurement_timestamp)} from the service’s records.</p>
      <dl class="signature">
        <div>
          <dt>Name</dt>
          <dd />
        </div>
        <div>
          <dt>Date</dt>
          <dd />
        </div>
      </dl>
    </Panel>
  );
}
