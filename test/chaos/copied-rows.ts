import { randomUUID } from 'node:crypto';
import type { Replica, Stage } from './stage.ts';

/** What tells a copied message from its original. */
export type CopiedMessage = { readonly uuid: string; readonly sid: string; readonly receiver: string };

export const SENDER = '+447700900001';
const ROWS_TOGETHER = 5_000;

/** Sends one message through the API, for its rows to be copied; its uuid. */
export async function sendOriginal(replica: Pick<Replica, 'baseUrl'>): Promise<string> {
  const answer = await fetch(`${replica.baseUrl}/dhos/v1/sms`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-trustomer': 'ouh', 'x-product': 'drill' },
    body: JSON.stringify({ sender: SENDER, receiver: '+447700900150', content: `The original, ${randomUUID()}.` }),
  });
  if (answer.status !== 200) throw new Error(`the original was answered ${answer.status}: ${await answer.text()}`);
  const { uuid } = (await answer.json()) as { uuid: string };
  return uuid;
}

/** A number without a fate of its own. */
export function plainReceiver(n: number): string {
  return `+447700900${String(n % 180).padStart(3, '0')}`;
}

/**
 * Messages as the service leaves them right after Twilio's 201, by the ten thousand: each is the original's row, whatever
 * columns it has, with another identity. To send them all would take minutes.
 */
export async function copyRows(stage: Stage, original: string, messages: readonly CopiedMessage[]): Promise<void> {
  for (let from = 0; from < messages.length; from += ROWS_TOGETHER) {
    await copyTogether(stage, original, messages.slice(from, from + ROWS_TOGETHER));
  }
}

async function copyTogether(stage: Stage, original: string, messages: readonly CopiedMessage[]): Promise<void> {
  const uuids = messages.map(({ uuid }) => uuid);
  await stage.query(
    `INSERT INTO message
     SELECT made.* FROM message AS original,
       unnest($2::varchar[], $3::varchar[], $4::varchar[]) AS new(uuid, sid, receiver),
       LATERAL jsonb_populate_record(original, jsonb_build_object(
         'uuid', new.uuid, 'twilio_sid', new.sid, 'receiver', new.receiver)) AS made
     WHERE original.uuid = $1`,
    [original, uuids, messages.map(({ sid }) => sid), messages.map(({ receiver }) => receiver)],
  );
  await stage.query(
    `INSERT INTO attempt
     SELECT made.* FROM attempt AS original, unnest($2::varchar[]) AS new(uuid),
       LATERAL jsonb_populate_record(original, jsonb_build_object('message_uuid', new.uuid)) AS made
     WHERE original.message_uuid = $1`,
    [original, uuids],
  );
}
