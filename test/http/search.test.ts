import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { freshText, quiet, startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let clear: Record<string, string>;
let masked: Record<string, string>;
let everywhere: Record<string, string>;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  clear = (await createKey(service.databaseUrl, { tenant: ouh, name: 'reads' })).bearer;
  masked = (await createKey(service.databaseUrl, { tenant: ouh, scopes: ['sms:read'] })).bearer;
  everywhere = (await createKey(service.databaseUrl)).bearer;
});
afterAll(() => service.stop());

const search = (body: unknown, headers: Record<string, string>) =>
  service.call('/dhos/v1/sms_search', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const idsOf = ({ json }: { json: { messages: { uuid: string }[] } }) => json.messages.map(({ uuid }) => uuid);
const send = async (receiver: string, headers: Record<string, string> = clear) =>
  (await service.post({ ...freshText(), receiver }, headers)).json;
/** The entries of searches: how many there are, and the latest. */
const searched = () => service.query("SELECT * FROM audit WHERE action = 'searched' ORDER BY id");

describe('A search', () => {
  test('finds a message by uuid and by SID, however they are written, and says what it took them for', async () => {
    const { uuid, twilio_sid } = await send('+447700900101');
    for (const q of [uuid, uuid.toUpperCase(), ` ${uuid.replaceAll('-', '')} `]) {
      const answer = await search({ q }, masked);
      expect([answer.json.kind, idsOf(answer)]).toEqual(['uuid', [uuid]]);
    }
    for (const q of [twilio_sid, twilio_sid.toLowerCase()]) {
      const answer = await search({ q }, masked);
      expect([answer.json.kind, idsOf(answer)]).toEqual(['sid', [uuid]]);
    }
  });

  test.each(['+447700900102', '07700 900102', '(07700) 900-102', '0044 7700 900102', 'tel:+44-7700-900102'])(
    'finds every spelling of a number by %s, emptied ones too',
    async (q) => {
      const [one, two, gone] = [await send('+447700900102'), await send('07700 900 102'), await send('07700-900102')];
      const { uuid } = await insertOriginalRow(service, { receiver: q });
      await service.call(`/dhos/v1/sms/${gone.uuid}?erase=true`, { method: 'DELETE', headers: clear });
      await service.query('UPDATE message SET deleted = NULL WHERE uuid = $1', [gone.uuid]);
      const answer = await search({ q, limit: 200 }, clear);
      expect(answer.json.kind).toBe('number');
      expect(idsOf(answer)).toEqual(expect.arrayContaining([one.uuid, two.uuid, gone.uuid, uuid]));
    },
  );

  test('finds by the last four to nine digits of a number, and no other number', async () => {
    const [one, other] = [await send('+447700900103'), await send('07700 900203')];
    for (const q of ['0103', '****0103', '00103', '900103', '700 900 103'])
      expect([q, idsOf(await search({ q }, clear))]).toEqual([q, [one.uuid]]);
    expect(idsOf(await search({ q: '0203' }, clear))).toEqual([other.uuid]);
    expect(idsOf(await search({ q: '9103' }, clear))).toEqual([]);
  });

  test('finds no number by digits that its mask does not show, nor by the end of what stands for an emptied one', async () => {
    const { uuid } = await send('+447700900104');
    for (const receiver of ['1234', '+447700900104x5']) {
      await service.query('UPDATE message SET receiver = $2 WHERE uuid = $1', [uuid, receiver]);
      expect(idsOf(await search({ q: '0104' }, masked))).toEqual([]);
    }
    await service.query(
      "UPDATE message SET receiver = 'hashed:a0104', receiver_e164 = 'hashed:a0104' WHERE uuid = $1",
      [uuid],
    );
    expect(idsOf(await search({ q: '0104' }, masked))).toEqual([]);
  });

  test('masks always and shows no text', async () => {
    const { uuid, content } = await send('+447700900105');
    const answer = await search({ q: uuid }, clear);
    expect(answer.json.messages).toEqual([
      {
        uuid,
        created: expect.any(String),
        trustomer_code: 'ouh',
        product_name: 'gdm',
        receiver: '****0105',
        sender: '+447700900001',
        status: 'sent',
        twilio_sid: expect.any(String),
        date_sent: expect.any(String),
      },
    ]);
    expect(answer.text).not.toContain(content);
    expect(answer.text).not.toContain('7700900105');
  });

  test('for a number, or more than four digits of one, needs sms:read:content; a token of it opens nothing more', async () => {
    await send('+447700900106');
    const { token } = (await search({ q: '07700 900106' }, clear)).json;
    for (const body of [{ q: '07700 900106' }, { q: '00106' }, { token }])
      expectProblem(await search(body, masked), 403, 'q: needs a key with the scope sms:read:content.');
    expect((await search({ q: '0106' }, masked)).status).toBe(200);
  });

  test('for a number is audited, without the number; one for a uuid or four digits is not', async () => {
    const { uuid } = await send('+447700900107');
    const before = (await searched()).length;
    await search({ q: '0107' }, clear);
    await search({ q: uuid }, clear);
    expect(await searched()).toHaveLength(before);
    await search({ q: '+447700900107', status: ['sent'] }, clear);
    const entry = (await searched()).at(-1);
    expect(entry).toMatchObject({ actor_name: 'reads', trustomer_code: 'ouh', message_uuid: null });
    expect(entry).toMatchObject({ details: { searched: 'number', filters: ['q', 'status'], messages: 1 } });
    expect(JSON.stringify(entry)).not.toMatch(/7700|0107/);
    expect(service.logged()).not.toMatch(/7700900107|0107/);
  });

  test('does not find what is deleted', async () => {
    const { uuid } = await send('+447700900108');
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: clear });
    for (const q of [uuid, '0108', '+447700900108']) expect(idsOf(await search({ q }, clear))).toEqual([]);
    expect(idsOf(await search({ limit: 200 }, clear))).not.toContain(uuid);
  });

  test('counts all that is asked together: status, code, time, tenant', async () => {
    const of = { trustomer_code: 'filters', product_name: 'p' };
    const row = async (changes: Record<string, string>) =>
      (await insertOriginalRow(service, { ...of, ...changes })).uuid;
    const failed = await row({ status: 'failed', error_code: '30003', created: '2026-01-01T10:00:00' });
    const undelivered = await row({ status: 'undelivered', error_code: '30003', created: '2026-01-02T10:00:00' });
    const sent = await row({ created: '2026-01-03T10:00:00', product_name: 'q' });
    const all = { trustomer_code: 'filters' };
    const found = async (body: object) => idsOf(await search({ ...all, ...body }, everywhere));
    expect(await found({})).toEqual([sent, undelivered, failed]);
    expect(await found({ product_name: 'P' })).toEqual([undelivered, failed]);
    expect(await found({ status: ['failed'] })).toEqual([failed]);
    expect(await found({ status: ['failed', 'sent', 'failed'] })).toEqual([sent, failed]);
    expect(await found({ error_code: ['30003', '30007'] })).toEqual([undelivered, failed]);
    expect(await found({ error_code: ['30003'], status: ['undelivered'] })).toEqual([undelivered]);
    expect(await found({ from: '2026-01-01T10:00:00Z', to: '2026-01-02T10:00:00Z' })).toEqual([undelivered, failed]);
    expect(await found({ status: ['failed', 'undelivered'], to: '2026-01-01T10:00:00Z' })).toEqual([failed]);
    expect(await found({ error_code: ['30003'], from: '2026-01-02T10:00:00Z' })).toEqual([undelivered]);
    expect(await found({ q: failed, status: ['sent'] })).toEqual([]);
    expect(idsOf(await search({ trustomer_code: 'nobody', status: ['failed'] }, everywhere))).toEqual([]);
  });

  test('a token is what was typed: sent in place of q it gives the same, and it is the same each time', async () => {
    await send('+447700900109');
    for (const q of ['07700 900109', '0109', randomUUID()]) {
      const [one, two] = [await search({ q }, clear), await search({ q }, clear)];
      expect(one.json.token).toBe(two.json.token);
      expect((await search({ token: one.json.token }, clear)).json).toEqual(one.json);
      expect(one.json.token + Buffer.from(one.json.token, 'base64url').toString('latin1')).not.toContain('0109');
    }
    expect((await search({ q: ' ' }, clear)).json).not.toHaveProperty('token');
  });

  test('refuses tokens and cursors that are garbage, altered, of others or for something else', async () => {
    for (let n = 0; n < 3; n += 1) await send('+447700900110');
    const { token, next } = (await search({ q: '0110', limit: 1 }, clear)).json;
    const altered = (token[20] === 'A' ? 'B' : 'A') + token.slice(1);
    for (const bad of ['', 'x', altered, `${token}=`, next]) {
      const answer = await search({ token: bad }, clear);
      expectProblem(answer, 400, 'token: is not one that a search of this key gave out.');
    }
    expectProblem(await search({ token }, everywhere), 400, /^token: is not one/);
    for (const bad of ['', 'x', token]) expectProblem(await search({ cursor: bad }, clear), 400, /^cursor: is not one/);
    expectProblem(await search({ cursor: next }, everywhere), 400, /^cursor: is not one/);
    expectProblem(
      await search({ cursor: next, q: '0111' }, clear),
      400,
      "q: is not what the cursor's search was asked for.",
    );
    expectProblem(await search({ token, q: '0110' }, clear), 400, 'q, token: only one of them can be sent.');
    const list = await service.call('/dhos/v1/sms?limit=1', { headers: clear });
    const ofList = /cursor=([^>]+)>/.exec(list.headers.get('link') ?? '')?.[1];
    expectProblem(await search({ cursor: ofList }, clear), 400, /^cursor: is not one/);
  });

  test.each(['Mr Smith', "0123' OR 1=1 --", '%', '\\', "'; DROP TABLE message; --", '123'])(
    'says what it takes when it is asked for %j',
    async (q) => {
      expectProblem(await search({ q }, clear), 400, 'q: is neither an id, a SID, a phone number nor its last digits.');
    },
  );

  test('takes no word for SQL', async () => {
    const { uuid } = await send('+447700900111');
    for (const word of ["sent' OR '1'='1", "'; DROP TABLE message; --", '%', '_ent', '{sent}', 'sent","failed'])
      expect(idsOf(await search({ status: [word] }, clear))).toEqual([]);
    for (const word of ["x' OR true --", '{"x","ouh"}'])
      expect(idsOf(await search({ trustomer_code: word.replaceAll(',', ' ') }, everywhere))).toEqual([]);
    expect(idsOf(await search({ q: uuid }, clear))).toEqual([uuid]);
    expectProblem(await search({ error_code: ["30003' OR true"] }, clear), 400, /error_code/);
    expectProblem(await search({ q: 'a'.repeat(251) }, clear), 400, /^q: must not be longer/);
    for (const limit of [0, 201, 1.5, '50']) expectProblem(await search({ limit }, clear), 400, /limit/);
    expectProblem(await search([], clear), 400, /object/);
    expectProblem(await search({ status: [] }, clear), 400, /status/);
  });

  test('of another tenant is 403 for a key of one', async () => {
    expectProblem(await search({ trustomer_code: 'other' }, clear), 403, /are not those of this key/);
    expect((await search({ trustomer_code: 'OUH', product_name: 'gdm' }, clear)).status).toBe(200);
  });
});

describe('The tenants', () => {
  test('are all that have messages, each once and in order; a key of one sees its own', async () => {
    for (const [trust, product] of [
      ['zz', 'b'],
      ['zz', 'a'],
      ['zz', 'a'],
    ] as const)
      await insertOriginalRow(service, { trustomer_code: trust, product_name: product });
    const seen = (await service.call('/dhos/v1/tenants', { headers: everywhere })).json;
    expect(seen.slice(-2)).toEqual([
      { trustomer_code: 'zz', product_name: 'a' },
      { trustomer_code: 'zz', product_name: 'b' },
    ]);
    expect((await service.call('/dhos/v1/tenants', { headers: masked })).json).toEqual([
      { trustomer_code: 'ouh', product_name: 'gdm' },
    ]);
  });
});

describe('A message with mask=true', () => {
  test('is masked for who could read it, and is not noted as read', async () => {
    const { uuid } = await send('+447700900112');
    const read = () => service.query("SELECT 1 FROM audit WHERE action = 'read' AND message_uuid = $1", [uuid]);
    const answer = await service.call(`/dhos/v1/sms/${uuid}?mask=true`, { headers: clear });
    expect(answer.json).toMatchObject({ uuid, receiver: '****0112', content: '[masked]' });
    expect(await read()).toEqual([]);
    const open = await service.call(`/dhos/v1/sms/${uuid}?mask=false`, { headers: clear });
    expect(open.json).toMatchObject({ receiver: '+447700900112' });
    expect(await read()).toHaveLength(1);
    const hidden = await service.call(`/dhos/v1/sms/${uuid}?mask=false`, { headers: masked });
    expect(hidden.json).toMatchObject({ receiver: '****0112', content: '[masked]' });
    expectProblem(await service.call(`/dhos/v1/sms/${uuid}?mask=1`, { headers: clear }), 400, /^mask: /);
  });
});
