import path from 'node:path';
import { sign } from '../../src/twilio/signature.ts';
import type { OwnPostgres } from '../support/own-postgres.ts';
import { eventually, tenant } from '../support/service.ts';
import { type Asked, healthy, type Reply } from '../support/twilio.ts';

/** Words that occur nowhere else: found in what the service or its commands say, they came from a patient or a secret. */
export const patient = 'Canary: Mrs Zwitscher, your smear test is on Monday';
export const digits = '7700900877';
export const number = `+44${digits}`;
export const senderNumber = '+447700900866';
export const secrets = {
  TWILIO_AUTH_TOKEN: 'c0ffee-token-canary',
  TWILIO_AUTH_TOKEN_SECONDARY: 'c0ffee-secondary-canary',
  TWILIO_API_KEY_SECRET: 'c0ffee-secret-canary',
  HASH_KEY: 'c0ffee-hash-key-canary',
};
export const canaries = /zwitscher|smear|canary|c0ffee|7700[ .-]?900[ .-]?8(77|66)/i;

const root = path.resolve(import.meta.dirname, '../..');

/** The lines that hold a canary, or one of `more`. Where the project lies is none, whatever that is called. */
export function hits(texts: readonly string[], more: readonly string[] = []): string[] {
  const isHit = (line: string) => canaries.test(line) || more.some((secret) => line.includes(secret));
  return texts.flatMap((text) => text.replaceAll(root, '').split('\n')).filter(isHit);
}

/** Whatever our own embedded PostgreSQL is told, others log every statement and its errors; without values, as docs/operating.md asks. */
export const talkative = {
  log_error_verbosity: 'default',
  log_min_error_statement: 'error',
  log_min_duration_statement: '0',
  log_parameter_max_length: '0',
};

export type Answer = { readonly status: number; readonly text: string };
export const json = { 'content-type': 'application/json' };
export const uuidIn = ({ text }: Answer): string => JSON.parse(text).uuid;

let texts = 0;
export function message(): { sender: string; receiver: string; content: string } {
  texts += 1;
  return { sender: senderNumber, receiver: number, content: `${patient} ${texts}` };
}

/** A caller of the service, who adds to `said` what must not hold a canary: every error, and what he asks quietly. */
export function makeCaller(baseUrl: () => string, said: string[]) {
  const call = async (path: string, init: RequestInit = {}, isQuiet = false, at = baseUrl()): Promise<Answer> => {
    const response = await fetch(at + path, init);
    const answer = { status: response.status, text: await response.text() };
    if (isQuiet || answer.status >= 400) said.push(answer.text, JSON.stringify([...response.headers]));
    return answer;
  };
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    call('/dhos/v1/sms', {
      method: 'POST',
      headers: { ...json, ...tenant, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const callback = (
    fields: Record<string, string>,
    { query = '', token = secrets.TWILIO_AUTH_TOKEN, at = baseUrl() } = {},
  ) => {
    const form = new URLSearchParams({ AccountSid: 'ACtest', ...fields });
    const signature = sign(token, `https://sms.example/dhos/v1/sms/callback${query}`, form);
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature };
    return call(`/dhos/v1/sms/callback${query}`, { method: 'POST', headers, body: form.toString() }, false, at);
  };
  return { call, post, callback };
}

/** A healthy Twilio whose log shows nothing. */
export function usual(asked: Asked): Reply {
  const isList = asked.method === 'GET' && /Messages\.json/.test(asked.path);
  return isList ? { status: 200, body: { messages: [], next_page_uri: null } } : healthy(asked);
}

/** Nothing is there any more that Twilio may or may not have. */
export const settled = (postgres: OwnPostgres) =>
  eventually(async () => {
    const [row] = await postgres.query<{ n: number }>('SELECT count(*)::int AS n FROM message WHERE unresolved');
    return row?.n === 0;
  }, 20_000);
