import { hashText } from '../../src/simulator/draw.ts';
import { type Answer, post, type Story } from './clients.ts';
import { listMoves, type Move } from './moves.ts';
import { account, type Stage } from './stage.ts';

/** A message that Twilio has accepted, as Twilio sees it in the end. */
export type Accepted = {
  readonly sid: string;
  /** names the text (hashText) */
  readonly text: string;
  /** whose message it is by the callback URL, where that says so */
  readonly uuid: string | null;
  readonly status: string;
  readonly hasText: boolean;
};

/** A row of the message table. */
export type Row = {
  readonly uuid: string;
  readonly sid: string | null;
  readonly status: string | null;
  readonly text: string;
};

/** A row that is not over: we do not know whether Twilio has it, or something is still to be done. */
export type OpenRow = { readonly uuid: string; readonly sid: string | null; readonly state: string };

/** Asked again with the same key when all was over. */
export type Replay = { readonly story: Story; readonly answer: Answer };

export type JournalLine = Readonly<Record<string, unknown>>;

/** Everything that the judge is told. */
export type Evidence = {
  readonly stories: readonly Story[];
  readonly accepted: readonly Accepted[];
  readonly rows: readonly Row[];
  readonly moves: readonly Move[];
  /** rows that were unresolved or had something to do when the time was up */
  readonly open: readonly OpenRow[];
  /** SIDs that the service has on record as a second handover */
  readonly recordedDuplicates: ReadonlySet<string>;
  readonly replays: readonly Replay[];
  /** forged callbacks, and what was answered */
  readonly forgeries: readonly { readonly sid: string; readonly outcome: unknown }[];
  /** genuine callbacks that were answered 2xx */
  readonly acknowledged: readonly { readonly sid: string; readonly status: string }[];
  /** SID and status of each callback on record */
  readonly recordedCallbacks: ReadonlySet<string>;
  /** requests to send that reached Twilio, whatever became of them */
  readonly creates: readonly { readonly sid: string | null; readonly uuid: string | null; readonly attempt: string }[];
  /** message and number of each attempt on record */
  readonly recordedAttempts: ReadonlySet<string>;
};

type StageToAsk = Pick<Stage, 'query' | 'simulator'>;

async function collectAccepted(stage: StageToAsk, journal: readonly JournalLine[]): Promise<Accepted[]> {
  const owners = new Map(
    journal.flatMap(({ kind, sid, m }) =>
      (kind === 'create' || kind === 'late create') && typeof sid === 'string' && typeof m === 'string'
        ? [[sid, m] as const]
        : [],
    ),
  );
  const truth = new Map((await listAtTwilio(stage)).map((message) => [message.sid, message]));
  const byReceiver = await stage.simulator.ask<{ texts: { text: string; sids: string[] }[] }[]>('accepted');
  return byReceiver.flatMap(({ texts }) =>
    texts.flatMap(({ text, sids }) =>
      sids.map((sid) => ({
        sid,
        text,
        uuid: owners.get(sid) ?? null,
        status: truth.get(sid)?.status ?? 'not in the list',
        hasText: truth.get(sid)?.body !== '',
      })),
    ),
  );
}

type Listed = { readonly sid: string; readonly status: string; readonly body: string };

/** The whole list, as any customer of Twilio would read it. */
async function listAtTwilio({ simulator }: StageToAsk): Promise<Listed[]> {
  const authorization = `Basic ${Buffer.from(`${account.sid}:${account.token}`).toString('base64')}`;
  const listed: Listed[] = [];
  for (let uri: string | null = `/2010-04-01/Accounts/${account.sid}/Messages.json?PageSize=1000`; uri !== null; ) {
    const answer: Response = await fetch(simulator.url + uri, { headers: { authorization } });
    const page = (await answer.json()) as { messages: Listed[]; next_page_uri: string | null };
    listed.push(...page.messages);
    uri = page.next_page_uri;
  }
  return listed;
}

async function collectRows(stage: StageToAsk): Promise<Row[]> {
  const rows = await stage.query<Omit<Row, 'text'> & { content: string }>(
    'SELECT uuid, twilio_sid AS sid, status, content FROM message',
  );
  return rows.map(({ content, ...row }) => ({ ...row, text: hashText(content) }));
}

export async function listOpen(stage: Pick<Stage, 'query'>): Promise<OpenRow[]> {
  return stage.query<OpenRow>(`
    SELECT uuid, twilio_sid AS sid, concat_ws(', ', status, CASE WHEN unresolved THEN 'unresolved' END, 'step ' || step,
      'due in ' || round(extract(epoch FROM due - now() AT TIME ZONE 'utc'), 1) || ' s', 'epoch ' || epoch) AS state
    FROM message WHERE unresolved OR step <> 'poll'`);
}

export async function collectEvidence(
  stage: StageToAsk,
  known: Pick<Evidence, 'stories' | 'open' | 'replays'>,
  journal: readonly JournalLine[],
): Promise<Evidence> {
  return {
    ...known,
    ...readJournal(journal),
    accepted: await collectAccepted(stage, journal),
    rows: await collectRows(stage),
    moves: await listMoves(stage),
    recordedDuplicates: await keysOf(stage, 'SELECT twilio_sid AS key FROM duplicate_handover'),
    recordedCallbacks: await keysOf(stage, `SELECT DISTINCT twilio_sid || ' ' || message_status AS key FROM callback`),
    recordedAttempts: await keysOf(stage, `SELECT message_uuid || ' ' || n AS key FROM attempt`),
  };
}

async function keysOf(stage: StageToAsk, statement: string): Promise<Set<string>> {
  return new Set((await stage.query<{ key: string }>(statement)).map(({ key }) => key));
}

function readJournal(journal: readonly JournalLine[]): Pick<Evidence, 'forgeries' | 'acknowledged' | 'creates'> {
  const callbacks = journal.filter(({ kind }) => kind === 'callback');
  const [forged, genuine] = [callbacks.filter(isForged), callbacks.filter((line) => !isForged(line))];
  return {
    forgeries: forged.map(({ sid, outcome }) => ({ sid: String(sid), outcome })),
    acknowledged: genuine
      .filter(({ outcome }) => isSuccess(outcome))
      .map(({ sid, status }) => ({ sid: String(sid), status: String(status) })),
    creates: journal
      .filter(({ kind }) => kind === 'create')
      .map(({ sid, m, a }) => ({ sid: wordOr(sid), uuid: wordOr(m), attempt: String(a) })),
  };
}

function isForged({ fault }: JournalLine): boolean {
  return fault === 'forge';
}

export function isSuccess(outcome: unknown): boolean {
  return typeof outcome === 'number' && outcome >= 200 && outcome < 300;
}

function wordOr(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Everyone who went away with a message asks again with the same key, and must be told of the same message. */
export async function replayKeys(baseUrl: string, stories: readonly Story[]): Promise<Replay[]> {
  const replays: Replay[] = [];
  for (const story of stories) {
    const last = story.answers.at(-1);
    if (story.planned.key === null || last?.kind !== 'answer' || ![200, 202, 422].includes(last.status)) continue;
    replays.push({ story, answer: await post(baseUrl, story.planned) });
  }
  return replays;
}
