import { readDatabaseConfig } from '../config.ts';
import { openDb } from '../db/db.ts';
import { type Resealed, resealAll } from '../message/reseal.ts';
import { makeSealing } from '../message/sealing.ts';
import type { Command } from './command.ts';
import { Failure } from './failure.ts';
import { print, remark } from './terminal.ts';
import { count, grouped, WIDTH, wrap } from './words.ts';

export const rotateKeys: Command = {
  about:
    'Gives every text in the database the content key that is first in CONTENT_KEYS or CONTENT_KEYS_FILE, while the service runs: ' +
    'texts with an older key, and texts in clear. It needs the environment of the service (DATABASE_*, the keys); ended in the ' +
    'middle, it does the rest when it is run again. Exit code 0: no text has another key any more.',
  flags: { open: { about: 'the way back: store every text in clear' } },
  examples: ['', '--open'],
  timeoutS: 86_400,
  tenant: 'none',
  run: async (call) => {
    const config = readDatabaseConfig();
    const sealing = makeSealing(config.contentKeys);
    const isOpening = call.is('open');
    if (sealing.keyId === null)
      throw new Failure('wrongUse', 'Set CONTENT_KEYS or CONTENT_KEYS_FILE, as the service has it.');
    const { url, stop } = await findDatabase(config);
    const db = openDb({ url, poolSize: 1 });
    try {
      const end = await resealAll({ db, sealing, isOpening }, showProgress);
      if (process.stderr.isTTY === true) remark(`\r${' '.repeat(WIDTH - 1)}\r`);
      print(call.is('json') ? `${JSON.stringify(end)}\n` : wrap(summary(end, isOpening ? null : sealing.keyId)));
      return end.left === 0 ? 'done' : 'refused';
    } finally {
      await db.close();
      await stop();
    }
  },
};

async function findDatabase({ server, dataDir }: ReturnType<typeof readDatabaseConfig>) {
  if (server.kind === 'external') return { url: server.url, stop: async () => {} };
  const { startEmbeddedPostgres } = await import('../db/embedded.ts');
  return startEmbeddedPostgres({ dataDir, database: 'sms', onProgress: (line) => remark(`${line}\n`) });
}

const BAR = 24;
const SAY_EVERY = 10_000;
let said = 0;

/** On a terminal one line that the next one covers; elsewhere a line now and then. */
function showProgress({ total, done }: Resealed): void {
  const full = total === 0 ? BAR : Math.min(BAR, Math.floor((done / total) * BAR));
  const words = `${grouped(done)} of ${grouped(total)} texts`;
  if (process.stderr.isTTY === true) {
    remark(`\r[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ${words}`.padEnd(WIDTH));
  } else if (done - said >= SAY_EVERY) {
    said = done;
    remark(`${words}\n`);
  }
}

function summary({ done, left, unopened }: Resealed, keyId: string | null): string {
  const now = keyId === null ? 'in clear' : `with the key ${keyId}`;
  const lost = Object.entries(unopened).map(
    ([id, texts]) =>
      `${count(texts, 'text')} with the key ${id} cannot be opened: that key is missing, or they were damaged.`,
  );
  const rest = left - Object.values(unopened).reduce((all, texts) => all + texts, 0);
  return [
    `${count(done, 'text was', 'texts were')} stored ${now}.`,
    left === 0 ? (keyId === null ? 'None is sealed any more.' : 'No text has another key any more.') : '',
    ...lost,
    rest > 0
      ? `${count(rest, 'text has', 'texts have')} another key still: restart every replica with the new first key, then run this again.`
      : '',
  ]
    .filter((sentence) => sentence !== '')
    .join(' ');
}
