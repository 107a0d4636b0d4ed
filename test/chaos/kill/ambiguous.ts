import { brokenFirst, takenAfter6s, takenAfter8s } from './fates.ts';
import { attemptsOf, rowsOf, untilOver } from './judge.ts';
import { createFindings, inTime, type KillPoint, killPoint, until } from './point.ts';
import { post, type Scene } from './scene.ts';

const neverResend = { AMBIGUOUS_SEND: 'never-resend' };
const settleFor1s = { SETTLE_MS: '1000' };
/** The look back comes when the second attempt's deadline and settle time are over: 8 s after the order at the soonest. */
const lookBackLater = { ...settleFor1s, TWILIO_TIMEOUT_MS: '2500' };

/** Where resolving ends: where it is told not to send again, and where it cannot know. */
export const ambiguous: KillPoint[] = [
  killPoint({
    id: '19',
    name: 'never-resend',
    inWords: 'AMBIGUOUS_SEND=never-resend: killed after the first look',
    endState: 'unconfirmed, 0 at Twilio, never a second create',
    fate: brokenFirst,
    play: playNeverResend,
  }),
  killPoint({
    id: '20',
    name: 'taken-too-late',
    inWords: 'Twilio takes attempt 1 after the settle time',
    endState: '2 at Twilio: recorded, counted, logged as an error',
    fate: takenAfter8s,
    isCalledBack: true,
    play: (scene) => playTakenTooLate(scene, settleFor1s),
  }),
  killPoint({
    id: '20s',
    name: 'taken-too-late-silently',
    inWords: 'the same, before the look back; without callbacks only the log can tell',
    endState: '2 at Twilio: recorded, counted, logged as an error',
    fate: takenAfter6s,
    play: (scene) => playTakenTooLate(scene, lookBackLater),
  }),
];

async function playNeverResend(scene: Scene): Promise<string[]> {
  const { must, list } = createFindings();
  const order = scene.order();
  const watched = await scene.startWatched(neverResend);
  const hold = scene.postgres.holdAnswer('record-look');
  const asking = post(watched, order);
  await inTime('the first look', hold.reached);
  await scene.kill(watched);
  const first = await asking;
  must(first?.status === 202, `answered ${first?.status ?? 'nothing'}, not 202`);

  const fresh = await scene.startFresh(neverResend);
  const row = await untilOver(scene, order);
  must((await rowsOf(scene, order)).length === 1, 'more than one row');
  must(row.status === 'unconfirmed' && row.twilio_sid === null, `ended ${row.status}, SID ${row.twilio_sid}`);
  const again = await post(fresh, order);
  must(again?.json.uuid === row.uuid, `the key again: answered ${again?.status}, message ${again?.json.uuid}`);
  must(again?.json.status === 'unconfirmed', `the key again: status ${again?.json.status}`);
  const { creates, sids } = await scene.atTwilio(order);
  must(creates === 1 && sids.length === 0, `Twilio was asked ${creates} times and has ${sids.length}`);
  const attempts = await attemptsOf(scene, row.uuid);
  must(attempts.length === 1, `${attempts.length} attempts`);
  return [...list];
}

async function playTakenTooLate(scene: Scene, env: Record<string, string>): Promise<string[]> {
  const { must, list } = createFindings();
  const order = scene.order();
  const replica = await scene.startWatched(env);
  const answer = await inTime('an answer', post(replica, order));
  must(answer?.status === 202, `answered ${answer?.status ?? 'nothing'}, not 202`);
  await until('the late message', async () => (await scene.atTwilio(order)).sids.length > 1);
  const duplicates = await until('a duplicate on record', async () => {
    const { rows } = await scene.database.query<{ message_uuid: string; twilio_sid: string }>(
      'SELECT * FROM duplicate_handover',
    );
    return rows.length > 0 && rows;
  });

  const [row] = await rowsOf(scene, order);
  const { sids } = await scene.atTwilio(order);
  must(sids.length === 2, `${sids.length} at Twilio`);
  must(duplicates.length === 1 && duplicates[0]?.message_uuid === row?.uuid, `${duplicates.length} on record`);
  const known = new Set([row?.twilio_sid, duplicates[0]?.twilio_sid]);
  must(
    sids.every((sid) => known.has(sid)),
    'one of the SIDs is not known here',
  );
  const counted = await until('the count', async () => (await duplicatesCounted(replica.baseUrl)) > 0, 5_000).catch(
    () => false,
  );
  must(counted, 'sms_duplicate_handover_total is 0');
  const errors = replica
    .output()
    .split('\n')
    .filter((line) => line.includes('"level":"ERROR"') && line.includes(row?.uuid ?? 'nobody'));
  must(errors.length > 0, 'no line of level ERROR names the message');
  return [...list];
}

async function duplicatesCounted(baseUrl: string): Promise<number> {
  const metrics = await (await fetch(`${baseUrl}/metrics`)).text();
  const lines = metrics.matchAll(/^sms_duplicate_handover_total(?:\{[^}]*\})? (\d+)/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}
