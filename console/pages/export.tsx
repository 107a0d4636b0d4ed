import { useEffect, useRef, useState } from 'preact/hooks';
import { type ApiError, api } from '../api/client.ts';
import type { Operations } from '../api/types.ts';
import { csvOf } from '../csv.ts';
import { dayOf, now } from '../times.ts';
import { many } from '../words.ts';
import type { Found } from './message-table.tsx';

type Filter = Omit<Operations['POST /dhos/v1/sms_search']['body'], 'limit' | 'cursor'>;

const AT_ONCE = 200;
/** More are for the command line, which streams them. */
const MOST = 20_000;

const columns = [
  'uuid',
  'created',
  'status',
  'receiver',
  'sender',
  'trustomer_code',
  'product_name',
  'error_code',
  'twilio_sid',
  'date_sent',
  'redacted',
] as const satisfies readonly (keyof Found)[];

/** All that the filter finds, masked as on the screen, as a file that a spreadsheet opens without running anything. */
export function Export({ filter }: { readonly filter: Filter }) {
  const [said, say] = useState('');
  const [isBusy, setBusy] = useState(false);
  const gone = useRef(new AbortController());
  useEffect(() => () => gone.current.abort(), []);
  const run = async () => {
    if (isBusy) return;
    setBusy(true);
    try {
      const { found, isWhole } = await readAll(filter, gone.current.signal, (n) => say(`${many(n, 'message')} read …`));
      save(csvOf(columns, found), `messages-${dayOf(now())}.csv`);
      say(
        isWhole
          ? `${many(found.length, 'message')} saved, numbers masked.`
          : `The newest ${many(found.length, 'message')} saved. All of them: npx polaris-sms list --csv`,
      );
    } catch (error) {
      if (gone.current.signal.aborted) return;
      say(`Nothing was saved: ${(error as ApiError).message}`);
    }
    setBusy(false);
  };
  return (
    <div class="buttons">
      <span role="status" class="soft">
        {said}
      </span>
      <button type="button" aria-disabled={isBusy} onClick={run}>
        Export as CSV
      </button>
    </div>
  );
}

async function readAll(filter: Filter, signal: AbortSignal, tell: (n: number) => void) {
  const found: Found[] = [];
  let cursor: string | undefined;
  do {
    const body = { ...filter, limit: AT_ONCE, ...(cursor !== undefined && { cursor }) };
    const page = await api('POST /dhos/v1/sms_search', { body, signal });
    found.push(...page.messages);
    cursor = page.next;
    tell(found.length);
  } while (cursor !== undefined && found.length < MOST);
  return { found, isWhole: cursor === undefined };
}

function save(text: string, name: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // Not at once: some browsers begin to read it a little later.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
