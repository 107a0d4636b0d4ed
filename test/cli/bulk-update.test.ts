import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService } from '../support/service.ts';
import { httpAnswer, startTcpServer } from '../support/tcp.ts';
import { type FakeTwilio, healthy, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { cli, operatorAt, startCli } from './support.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '11000' });
});
afterEach(async () => {
  twilio.answerWith(undefined);
  await service.query('DELETE FROM message');
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

/** Twilio finds every message delivered, but lets those after the first wait for `gate`. */
function twilioFindsDelivered(gate: Promise<void>): void {
  let found = 0;
  twilio.answerWith(async (asked) => {
    if (asked.method !== 'GET') return healthy(asked);
    found += 1;
    if (found > 1) await gate;
    return { status: 200, body: resource({ sid: sidIn(asked.path), status: 'delivered' }) };
  });
}

describe('bulk-update', () => {
  test('tells how far it is while it runs, and at the end what came of it', async () => {
    for (let n = 0; n < 3; n += 1) await insertOriginalRow(service, { status: 'queued' });
    const gate = Promise.withResolvers<void>();
    twilioFindsDelivered(gate.promise);
    const run = startCli(['bulk-update'], operatorAt(service.baseUrl));
    const [said] = await eventually(async () => /^\d of 3 asked, \d changed\n/.exec(run.remarks()), 15_000);
    expect(said).toMatch(/^[12] of 3/);
    gate.resolve();
    const { code, stdout } = await run.ended;
    expect(code).toBe(0);
    // The queue of redactions, which works beside it, may have emptied the first ones.
    expect(stdout.replaceAll('\n', ' ')).toMatch(
      /^Done: Twilio was asked about 3 messages, and 3 changed\. [123] texts? w\w+ emptied there by it\.\s$/,
    );
    expect(await service.query("SELECT FROM message WHERE status = 'delivered' AND redacted IS NOT NULL")).toHaveLength(
      3,
    );
  });

  test('--json is the progress at the end, as the API gives it; stderr stays out of it', async () => {
    await insertOriginalRow(service, { status: 'queued' });
    twilioFindsDelivered(Promise.resolve());
    const { code, stdout } = await cli(['bulk-update', '--json'], operatorAt(service.baseUrl));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      running: false,
      total: 1,
      asked: 1,
      changed: 1,
      failed: 0,
      redacted: 1,
    });
    expect(stdout).toBe(`${(await service.call('/dhos/v1/sms/bulk_update/progress')).text}\n`);
  });

  test('what Twilio did not tell is said', async () => {
    await insertOriginalRow(service, { status: 'queued' });
    twilio.answerWith(() => ({ status: 500, body: '' }));
    const { code, stdout } = await cli(['bulk-update'], operatorAt(service.baseUrl));
    expect(code).toBe(0);
    expect(stdout.replaceAll('\n', ' ')).toContain('About 1 message it could not be asked');
  });

  test('a connection that breaks is exit code 3, and says that it may go on', async () => {
    const torn = await startTcpServer((socket) => socket.destroy());
    try {
      const { code, stderr } = await cli(['bulk-update'], operatorAt(torn.url));
      expect(code).toBe(3);
      expect(stderr).toMatch(/If it had begun, it goes on; running it again is safe\.\n$/);
    } finally {
      await torn.close();
    }
  });

  test('a service that cannot tell its progress is still run to the end', async () => {
    const older = await startTcpServer((socket, request) => {
      socket.end(request.startsWith('POST') ? 'HTTP/1.1 204 No Content\r\n\r\n' : httpAnswer(404, '{}'));
    });
    try {
      expect(await cli(['bulk-update'], operatorAt(older.url))).toEqual({ code: 0, stdout: 'Done.\n', stderr: '' });
    } finally {
      await older.close();
    }
  });
});
