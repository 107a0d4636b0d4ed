import { AssertionError } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { z } from 'zod';
import { sign } from '../src/twilio/signature.ts';
import { oddNumber } from './phone-numbers.ts';

/** Which service, and what the runner has to know of its configuration. */
export type Target = {
  readonly baseUrl: string;
  /** null: scenarios that need SQL are skipped. */
  readonly databaseUrl: string | null;
  /** The service's TWILIO_CALL_BACK_URL and TWILIO_AUTH_TOKEN: with them Twilio signs, and so do we. */
  readonly callbackUrl: string;
  readonly authToken: string;
};

/** What the platform and Twilio do with the service: each call asserts the status it expects, 200 or 204 unless told. */
export type Platform = {
  readonly target: Target;
  ask(path: string, options?: Asking): Promise<Answer>;
  send(message: Posted, tenant?: Tenant): Promise<Message>;
  list(query: Record<string, string>, tenant?: Tenant): Promise<Message[]>;
  /** Without tenant headers. */
  get(uuid: string): Promise<Message>;
  /** A callback as Twilio signs it, over the bare callback URL. */
  callBack(message: Message, status: string): Promise<void>;
  bulkUpdate(method: 'GET' | 'POST'): Promise<void>;
  counts(query: Record<string, string>): Promise<Counts>;
  /** How many rows it changed. */
  sql(statement: string, values: readonly string[]): Promise<number>;
  close(): Promise<void>;
};

export type Tenant = Readonly<Record<string, string>>;
export type Posted = { sender: string; receiver: string; content: string } & Record<string, string>;
type Asking = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly expect?: number;
};
type Answer = { readonly headers: Headers; readonly text: string; json(): unknown };

const time = z.iso.datetime({ precision: 3 });

/** The message as the platform knows it: these fields and no others. */
const message = z.strictObject({
  uuid: z.uuid(),
  created: time,
  created_by: z.string(),
  modified: time,
  modified_by: z.string(),
  sender: z.string(),
  receiver: z.string(),
  content: z.string(),
  status: z.string(),
  twilio_sid: z.string(),
  date_sent: time.optional(),
  trustomer_code: z.string(),
  product_name: z.string(),
  error_code: z.string().optional(),
  error_message: z.string().optional(),
  deleted: time.optional(),
  redacted: time.optional(),
});
export type Message = z.infer<typeof message>;

const counts = z.strictObject({
  data: z.record(z.iso.date(), z.record(z.string(), z.int())),
  data_type: z.literal('sms_status_counts'),
  description: z.literal('This is a count of the sms statuses'),
  measurement_timestamp: z.iso.datetime({ offset: true }),
});
/** UTC day → status → how many. */
export type Counts = z.infer<typeof counts>['data'];

export const ours: Tenant = { 'X-Trustomer': 'OUH', 'X-Product': 'GDM' };
export const anothers: Tenant = { 'X-Trustomer': 'BTH', 'X-Product': 'GDM' };

/** A text like no other, between two people who do not exist. */
export function newMessage(more: Record<string, string> = {}): Posted {
  const content = `Ward 7: your appointment ${randomUUID()} is on Monday at 10:00 – bring your glucose log. 🩺`;
  return { sender: oddNumber(), receiver: oddNumber(), content, ...more };
}

/** A bulk update looks up everything unfinished of seven days. */
const ANSWER_WITHIN_MS = 120_000;
const JSON_BODY = { 'Content-Type': 'application/json' };
const FORM_BODY = { 'Content-Type': 'application/x-www-form-urlencoded' };

export function openPlatform(target: Target, signal: AbortSignal): Platform {
  const pool = target.databaseUrl === null ? null : new pg.Pool({ connectionString: target.databaseUrl, max: 1 });
  pool?.on('error', () => {});
  const ask = (path: string, asking: Asking = {}) => request(target.baseUrl + path, path, asking, signal);

  return {
    target,
    ask,
    send: async (posted, tenant = ours) => {
      const headers = { ...JSON_BODY, ...tenant };
      const answer = await ask('/dhos/v1/sms', { method: 'POST', headers, body: JSON.stringify(posted) });
      return message.parse(answer.json());
    },
    list: async (query, tenant = ours) => {
      const answer = await ask(`/dhos/v1/sms?${new URLSearchParams(query)}`, { headers: tenant });
      return z.array(message).parse(answer.json());
    },
    get: async (uuid) => message.parse((await ask(`/dhos/v1/sms/${uuid}`)).json()),
    callBack: async ({ twilio_sid }, status) => {
      const form = new URLSearchParams({ MessageSid: twilio_sid, MessageStatus: status });
      const signature = sign(target.authToken, target.callbackUrl, form);
      const headers = { ...FORM_BODY, 'X-Twilio-Signature': signature };
      await ask('/dhos/v1/sms/callback', { method: 'POST', headers, body: form.toString(), expect: 204 });
    },
    bulkUpdate: async (method) => {
      await ask('/dhos/v1/sms/bulk_update', { method, expect: 204 });
    },
    counts: async (query) => {
      const answer = await ask(`/dhos/v1/sms_status_counts?${new URLSearchParams(query)}`);
      return counts.parse(answer.json()).data;
    },
    sql: async (statement, values) => (await pool?.query(statement, [...values]))?.rowCount ?? 0,
    close: async () => {
      await pool?.end();
    },
  };
}

async function request(url: string, path: string, asking: Asking, signal: AbortSignal): Promise<Answer> {
  const { method = 'GET', expect = 200, ...init } = asking;
  const patience = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
  const response = await fetch(url, { ...init, method, signal: patience });
  const text = await response.text();
  if (response.status !== expect) {
    const message = `${method} ${path}\nexpected: ${expect}\nactual:   ${response.status} ${text}`;
    throw new AssertionError({ message, expected: expect, actual: response.status });
  }
  return { headers: response.headers, text, json: () => JSON.parse(text) };
}
