import { Writable } from 'node:stream';
import pg from 'pg';
import { type Service, startService } from '../../src/app.ts';
import type { Clock } from '../../src/clock.ts';
import { readConfig } from '../../src/config.ts';
import type { Route } from '../../src/http/identity.ts';
import { openLog } from '../../src/log.ts';
import { sign } from '../../src/twilio/signature.ts';
import { createDatabase } from './database.ts';

/** The real service on a port of its own, with a database of its own, and what tests want to know about it. */
export type TestService = Service & {
  /** Straight at the database. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Everything it has logged. */
  logged(): string;
  call(path: string, init?: RequestInit): Promise<Answer>;
  post(body: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** A callback as Twilio would sign it. */
  callback(
    fields: Record<string, string>,
    options?: { query?: string; authToken?: string; url?: string },
  ): Promise<Answer>;
};

export type Answer = { status: number; headers: Headers; text: string; json: Json };
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Json = any;

export const tenant = { 'x-trustomer': 'OUH', 'x-product': 'GDM' };
export const text = { sender: '+447700900001', receiver: '+447700900123', content: 'Your appointment is on Monday.' };
let texts = 0;

/** A text of its own: while Twilio may or may not have a text, an identical one to the same number has to wait. */
export function freshText(): typeof text {
  texts += 1;
  return { ...text, content: `Your appointment is on Monday, in room ${texts}.` };
}

/** The environment of the platform's own tests: Twilio disabled. */
export const quiet = {
  TWILIO_DISABLED: 'true',
  TWILIO_ACCOUNT_SID: 'test',
  TWILIO_AUTH_TOKEN: 'test',
  TWILIO_CALL_BACK_URL: 'http://dummy-callback-url',
};

/** `env` is added to the development environment; without Twilio variables it talks to a lively simulator, sped up. */
export async function startTestService(
  env: Record<string, string> = {},
  options: {
    clock?: Clock;
    speed?: number;
    databaseUrl?: string;
    onRoute?: (route: Route) => void;
    consoleFolder?: string;
    checksKeptMs?: number;
  } = {},
): Promise<TestService> {
  const database =
    options.databaseUrl === undefined ? await createDatabase() : { url: options.databaseUrl, drop: async () => {} };
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  const config = readConfig({
    ENVIRONMENT: 'DEVELOPMENT',
    LISTEN_ADDRESS: '127.0.0.1',
    PORT: '0',
    DATABASE_URL: database.url,
    LOG_LEVEL: 'DEBUG',
    ...env,
  });
  const log = openLog(config.log, sink);
  const service = await startService(config, {
    log,
    simulatorSpeed: options.speed ?? 20,
    // Not the one that happens to be built here: tests of it say where it is.
    consoleFolder: options.consoleFolder ?? 'no-console',
    ...(options.clock !== undefined && { clock: options.clock }),
    ...(options.checksKeptMs !== undefined && { checksKeptMs: options.checksKeptMs }),
    ...(options.onRoute !== undefined && { onRoute: options.onRoute }),
  });
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  // Its connections may still be closing when the database is dropped under them.
  pool.on('error', () => {});
  const call = (path: string, init?: RequestInit) => request(service.baseUrl + path, init);
  return {
    ...service,
    query: async <Row extends pg.QueryResultRow>(statement: string, values?: unknown[]) =>
      (await pool.query<Row>(statement, values)).rows,
    logged: () => lines.join(''),
    call,
    post: (body, headers = tenant) =>
      call('/dhos/v1/sms', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    callback: (fields, { query = '', authToken, url } = {}) => {
      const form = new URLSearchParams(fields);
      const signedUrl = (url ?? config.twilio.callbackUrl ?? `${service.baseUrl}/dhos/v1/sms/callback`) + query;
      const token = authToken ?? config.twilio.authTokens[0] ?? service.simulator?.authToken ?? '';
      return call(`/dhos/v1/sms/callback${query}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          'x-twilio-signature': sign(token, signedUrl, form),
        },
        body: form.toString(),
      });
    },
    stop: async () => {
      await service.stop();
      await pool.end();
      await database.drop();
      // But for a requestID of a caller's choice that could be a phone number: that is meant to be dropped.
      const dropped = lines.find((line) => /"dropped":\[(?!"requestID"\])/.test(line));
      if (dropped !== undefined) throw new Error(`a line has fields that src/log-fields.ts does not know: ${dropped}`);
    },
  };
}

async function request(url: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(url, init);
  const body = await response.text();
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text: body,
    json: isJson && body !== '' ? JSON.parse(body) : null,
  };
}

/** Asks again until `probe` gives something, in steps that grow; a test's own time limit ends it. */
export async function eventually<T>(probe: () => Promise<T | null | undefined | false>, withinMs = 10_000): Promise<T> {
  const giveUpAt = performance.now() + withinMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 200)) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > giveUpAt) throw new Error(`it did not come within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
