import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { eventually, freshText, startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let clinic: Record<string, string>;
let watcher: Record<string, string>;
beforeAll(async () => {
  service = await startTestService({ AUTH_MODE: 'apikey' }, { speed: 100 });
  clinic = (await createKey(service.databaseUrl, { tenant: ouh })).bearer;
  watcher = (await createKey(service.databaseUrl, { tenant: ouh, scopes: ['sms:read'] })).bearer;
});
afterAll(() => service.stop());

const explanation = (uuid: string, headers = watcher) => service.call(`/dhos/v1/sms/${uuid}/explanation`, { headers });
const possible = (json: { actions: { action: string; possible: boolean }[] }) =>
  json.actions.flatMap(({ action, possible: is }) => (is ? [action] : []));

/** Sends to a magic number and waits until the explanation has this tone. */
async function explained(digits: string, tone: string) {
  const text = { ...freshText(), receiver: `+447700900${digits}` };
  const sent = await service.post(text, clinic);
  const uuid = sent.json.uuid ?? sent.json.message_id;
  const answer = await eventually(async () => {
    const found = await explanation(uuid);
    return found.json.tone === tone && found;
  });
  expect(answer.text).not.toMatch(/77009|appointment/);
  return answer.json;
}

describe('The explanation of a message that', () => {
  test('was delivered: it reached the patient', async () => {
    const json = await explained('321', 'good');
    expect(json.summary).toMatch(/^It reached the patient’s phone/);
    expect(possible(json)).toEqual(['poll', 'send_again', 'delete', 'erase']);
  });

  test('was refused: why, and what to do', async () => {
    const json = await explained('996', 'bad');
    expect(json.summary).toBe('It did not reach the patient: it was not sent, and will not be.');
    expect(json.error).toMatchObject({
      code: '21610',
      means: 'The receiver has opted out of texts from this sender.',
      can_we_fix: 'no',
      who: 'the patient',
    });
    expect(possible(json)).toEqual(['send_again', 'delete', 'erase']);
  });

  test('stays sent: Twilio is asked when', async () => {
    const json = await explained('994', 'waiting');
    expect(json.waits_for).toMatch(/^Twilio’s word/);
    expect(Date.parse(json.until)).toBeGreaterThan(Date.now());
  });

  test('may be at Twilio or not: unknown, not bad, with the moment at which it is looked for', async () => {
    const json = await explained('999', 'unknown');
    expect(json.waits_for).toMatch(/look at Twilio’s log/);
    expect(Date.parse(json.until)).toBeGreaterThan(Date.now());
    expect(json.error).toBeUndefined();
    expect(possible(json)).toEqual(['delete']);
  });

  test('waits for an identical one: so it says', async () => {
    const text = { ...freshText(), receiver: '+447700900999' };
    await service.post(text, clinic);
    const { uuid } = (await service.post(text, { ...clinic, prefer: 'respond-async' })).json;
    const { json } = await explanation(uuid);
    expect([json.tone, json.waits_for]).toEqual(['waiting', expect.stringMatching(/^an identical text/)]);
    expect(Date.parse(json.until)).toBeGreaterThan(Date.now());
  });

  test('is deleted: 404, also while it waits to be followed and redacted', async () => {
    const { uuid } = (await service.post({ ...freshText(), receiver: '+447700900994' }, clinic)).json;
    expect((await explanation(uuid)).status).toBe(200);
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: clinic });
    expectProblem(await explanation(uuid), 404, /no such message/);
  });

  test('is not there, or another tenant’s: 404', async () => {
    const { uuid } = (await service.post(freshText(), clinic)).json;
    const other = (await createKey(service.databaseUrl, { tenant: { ...ouh, trustomerCode: 'other' } })).bearer;
    for (const id of [randomUUID(), 'x'.repeat(40)]) expectProblem(await explanation(id), 404, /no such message/);
    expectProblem(await explanation(uuid, other), 404, /no such message/);
  });
});
