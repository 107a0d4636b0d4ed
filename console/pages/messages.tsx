import { useEffect, useRef, useState } from 'preact/hooks';
import { type ApiError, api } from '../api/client.ts';
import { useLive } from '../api/live.ts';
import { Fault, Nothing, Shown } from '../parts/notes.tsx';
import { Page, Panel } from '../parts/panel.tsx';
import { linkTo, useQuery, useTenant } from '../place.ts';
import { endOfDay, startOfDay } from '../times.ts';
import { statuses } from '../words.ts';
import { Export } from './export.tsx';
import { MessageTable } from './message-table.tsx';

const EVERY_MS = 5_000;
const PAGE = 50;

/** Find messages. The whole filter stands in the address; what was typed stands there sealed, for it may be a number. */
export function MessagesPage() {
  const { query, set } = useQuery();
  const tenant = useTenant();
  const filter = {
    ...(query.find !== undefined && { token: query.find }),
    ...(query.status !== undefined && { status: query.status.split(',') }),
    ...(query.code !== undefined && { error_code: [query.code] }),
    ...(query.from !== undefined && { from: startOfDay(query.from) }),
    ...(query.to !== undefined && { to: endOfDay(query.to) }),
    ...tenant,
  };
  const asked = { ...filter, limit: PAGE, ...(query.cursor !== undefined && { cursor: query.cursor }) };
  const isFirst = query.cursor === undefined;
  const live = useLive(
    JSON.stringify(asked),
    (signal) => api('POST /dhos/v1/sms_search', { body: asked, signal }),
    isFirst ? EVERY_MS : null,
  );
  return (
    <Page title="Messages" aside={<Export filter={filter} />}>
      <Filters />
      <Panel title={isFirst ? 'Newest first' : 'Older messages'} part={query.cursor ?? ''}>
        <Shown live={live} what="the messages">
          {({ messages, next }) => (
            <>
              {messages.length === 0 ? (
                <Nothing>
                  No message fits this. {Object.keys(filter).length > 0 && <a href={linkTo('/messages')}>Show all</a>}
                </Nothing>
              ) : (
                <MessageTable messages={messages} />
              )}
              <nav class="buttons" aria-label="Pages of the list">
                {!isFirst && (
                  <button type="button" onClick={() => set({ cursor: undefined })}>
                    Newest
                  </button>
                )}
                {next !== undefined && (
                  <button type="button" onClick={() => set({ cursor: next })}>
                    Older
                  </button>
                )}
              </nav>
            </>
          )}
        </Shown>
      </Panel>
    </Page>
  );
}

function Filters() {
  const { query, set } = useQuery();
  // Another filter begins with its first page.
  const change = (changes: Parameters<typeof set>[0]) => set({ ...changes, cursor: undefined });
  const chosen = query.status === undefined ? [] : query.status.split(',');
  const toggle = (status: string) => {
    const next = chosen.includes(status) ? chosen.filter((each) => each !== status) : [...chosen, status];
    change({ status: next.join(',') });
  };
  const isFiltered = ['find', 'status', 'code', 'from', 'to'].some((name) => query[name] !== undefined);
  return (
    <section class="panel filters" aria-label="Filter">
      <Search />
      <fieldset class="chips">
        <legend class="hidden">Status</legend>
        {statuses.map((status) => (
          <label key={status} class={chosen.includes(status) ? 'chip on' : 'chip'}>
            <input type="checkbox" class="hidden" checked={chosen.includes(status)} onChange={() => toggle(status)} />
            {status}
          </label>
        ))}
      </fieldset>
      <div class="fields">
        <Field
          label="from day (UTC)"
          type="date"
          value={query.from}
          isWhole={isDay}
          onSet={(from) => change({ from })}
        />
        <Field label="to day (UTC)" type="date" value={query.to} isWhole={isDay} onSet={(to) => change({ to })} />
        <Field label="error code" inputMode="numeric" size={8} value={query.code} onSet={(code) => change({ code })} />
        {isFiltered && (
          <button
            type="button"
            onClick={() => {
              change({ find: undefined, status: undefined, code: undefined, from: undefined, to: undefined });
              // This button goes, and would take the focus with it.
              document.getElementById('find')?.focus();
            }}
          >
            Clear the filter
          </button>
        )}
      </div>
    </section>
  );
}

/** A date that is being typed is for a while one of the first millennium. */
function isDay(value: string): boolean {
  return value === '' || /^2\d{3}-/.test(value);
}

/** What is being typed stays as it is while the list behind it is asked for again. */
function Field({
  label,
  value = '',
  isWhole = () => true,
  onSet,
  ...rest
}: {
  readonly label: string;
  readonly value: string | undefined;
  readonly isWhole?: (typed: string) => boolean;
  readonly onSet: (value: string) => void;
  readonly type?: 'date';
  readonly inputMode?: 'numeric';
  readonly size?: number;
}) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  const commit = (given: string) => {
    setTyped(given);
    if (isWhole(given) && given !== value) onSet(given);
  };
  return (
    <label>
      {label}
      <input
        {...rest}
        maxLength={10}
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onChange={(event) => commit(event.currentTarget.value.trim())}
      />
    </label>
  );
}

/** What is typed goes to the service in a body, and comes back sealed: only that stands in the address. */
function Search() {
  const { query, set } = useQuery();
  const tenant = useTenant();
  const [typed, setTyped] = useState('');
  const [error, setError] = useState<ApiError | null>(null);
  const foundBy = useRef(query.find);
  useEffect(() => {
    // Cleared, or gone back: the field does not show what the list is not of.
    if (foundBy.current !== query.find) setTyped('');
    foundBy.current = query.find;
  }, [query.find]);
  const submit = async (event: Event) => {
    event.preventDefault();
    setError(null);
    if (typed.trim() === '') return set({ find: undefined, cursor: undefined });
    try {
      const { token } = await api('POST /dhos/v1/sms_search', { body: { q: typed.trim(), limit: 1, ...tenant } });
      foundBy.current = token;
      set({ find: token, cursor: undefined });
    } catch (failed) {
      setError(failed as ApiError);
    }
  };
  return (
    <search>
      <form onSubmit={submit}>
        <label for="find">Find a message</label>
        <div class="search">
          <input
            id="find"
            type="search"
            autoComplete="off"
            spellcheck={false}
            maxLength={250}
            placeholder={query.find === undefined ? '' : 'the list below is of an earlier search'}
            aria-describedby="find-help"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
          <button type="submit" class="main">
            Find
          </button>
        </div>
        <p id="find-help" class="soft">
          By its id, Twilio’s SID, a phone number in any spelling, or a number’s last four digits.
        </p>
        {error !== null &&
          (error.status === 400 ? (
            <p class="note fault" role="alert">
              This is neither a message’s id, nor Twilio’s SID, nor a phone number, nor the last four digits of one.
            </p>
          ) : (
            <Fault error={error} what="messages like that" />
          ))}
      </form>
    </search>
  );
}
