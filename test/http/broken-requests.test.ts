import { afterAll, beforeAll, expect, test } from 'vitest';
import { readRaw } from '../support/http.ts';
import { freshText, startTestService, type TestService } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

function aSend(): string {
  const body = JSON.stringify(freshText());
  return (
    'POST /dhos/v1/sms HTTP/1.1\r\nhost: sms\r\nx-trustomer: OUH\r\nx-product: GDM\r\ncontent-type: application/json\r\n' +
    `content-length: ${body.length}\r\n\r\n${body}`
  );
}
const statusesIn = (said: string) => [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

test('a text that is being sent is answered before what is broken behind it: its sender must not read that as its answer', async () => {
  const before = await service.query("SELECT uuid FROM message WHERE status <> 'error'");
  const said = await readRaw(service.baseUrl, `${aSend()}BREW\r\n\r\n`);
  expect(statusesIn(said)).toEqual([200, 400]);
  const uuid = /^x-message-id: (\S+)/im.exec(said)?.[1];
  const after = await service.query("SELECT uuid FROM message WHERE status <> 'error'");
  expect(after.filter((row) => !before.some((old) => old.uuid === row.uuid))).toEqual([{ uuid }]);
});

test('several requests, then a broken one: each is answered, in order', async () => {
  const get = 'GET /version HTTP/1.1\r\nhost: sms\r\n\r\n';
  const said = await readRaw(service.baseUrl, `${get}${aSend()}${get}BREW\r\n\r\nBREW\r\n\r\n`);
  expect(statusesIn(said)).toEqual([200, 200, 200, 400]);
  expect(said).toMatch(/The request is not valid HTTP\."/);
});

test('a broken chunk of the request itself is answered 400', async () => {
  const head = aSend()
    .split('\r\n\r\n')[0]
    ?.replace(/content-length: \d+/, 'transfer-encoding: chunked');
  expect(statusesIn(await readRaw(service.baseUrl, `${head}\r\n\r\nzz\r\n`))).toEqual([400]);
});
