import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { within } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Received } from '../message/callback.ts';
import type { Callback, Claim } from '../message/callbacks.ts';
import type { Redactor } from '../message/redact.ts';
import { asStatus } from '../message/status.ts';
import { isSigned, urlsTwilioMaySign } from '../twilio/signature.ts';
import { examineSignature } from '../twilio/signature-doctor.ts';
import type { HttpApp } from './app-type.ts';
import type { RefusedCallbacks } from './refused-callbacks.ts';
import { noContent, problems } from './schemas.ts';

export type CallbackDeps = {
  readonly receive: (callback: Callback, claim: Claim | null) => Promise<Received>;
  readonly redactor: Redactor;
  readonly callbackUrl: () => string;
  readonly authTokens: readonly string[];
  /** Signs nothing; named to whoever takes it for the token. */
  readonly apiKeySecret: string | null;
  readonly listenerPorts: () => readonly number[];
  readonly refused: RefusedCallbacks;
  /** Callbacks that name another account are refused; null = any will do (TWILIO_DISABLED). */
  readonly accountSid: string | null;
  /** Under TWILIO_DISABLED the redaction always comes before the acknowledgement. */
  readonly isQuiet: boolean;
  readonly onDuplicate: (uuid: string, twilioSid: string) => void;
  readonly countCallback: (result: Received['result'] | 'refused' | 'invalid') => void;
};

/** The platform reads `redacted` right after a final callback, so the answer waits this long for it, on a calm day. */
const REDACTION_WAIT_MS = 100;
const CALM = 5;

export const CALLBACK_PATH = '/dhos/v1/sms/callback';
/** Twilio's have less than 1 KiB and some 20 fields. */
const MAX_BODY_BYTES = 16 * 1024;
const MAX_FIELDS = 200;

/**
 * Twilio's status callback: signature first, then the fields; committed before it is acknowledged (G6).
 * https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
 */
export async function callbackRoute(app: HttpApp, deps: CallbackDeps): Promise<void> {
  // The signature is over the fields as they came, so the text is kept.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body);
  });

  app.post(
    CALLBACK_PATH,
    {
      // Twilio shows its signature.
      config: { scope: 'open' },
      bodyLimit: MAX_BODY_BYTES,
      // Nothing of an unsigned one is read. What is none of ours (415) or too large (413) is told so first, as ever.
      onRequest: async (request) => {
        if (isSmallForm(request.headers)) refuseUnsigned(deps, request);
      },
      schema: {
        summary: "Twilio's status callback",
        description:
          'A form of at most 16 KiB and 200 fields, signed by Twilio: `X-Twilio-Signature`. Fields that nobody knew yet are kept. ' +
          'With `CALLBACK_PORT` it is also served there, and nothing else is.',
        tags: ['twilio'],
        response: { 204: noContent('Committed'), ...problems(400, 403, 413, 415, 503) },
      },
    },
    async (request, reply) => {
      if (typeof request.body !== 'string') throw new Refusal('unsupported media type', 'A form is expected.');
      refuseUnsigned(deps, request);
      if (hasTooManyFields(request.body))
        throw new Refusal('too large', `A callback has at most ${MAX_FIELDS} fields.`);
      const form = new URLSearchParams(request.body);
      const [, rawQuery = ''] = splitOnce(request.raw.url ?? '', '?');
      refuseForged(deps, request, form, rawQuery);
      const callback = readCallback(form);
      if (callback === null) {
        deps.countCallback('invalid');
        throw new Refusal('bad request', 'MessageSid and MessageStatus must be there, with up to 250 characters each.');
      }
      const { result, duplicateOf, finished } = await deps.receive(callback, readClaim(rawQuery));
      deps.countCallback(result);
      if (duplicateOf !== null) deps.onDuplicate(duplicateOf, callback.twilioSid);
      // A word that is none of Twilio's might be anything; the event keeps it.
      const status = asStatus(callback.messageStatus) ?? 'other';
      request.log.info({ twilioSid: callback.twilioSid, status, result }, 'callback');
      await redactSoon(deps, finished);
      return reply.code(204).send(null);
    },
  );
}

/** It will be neither 415 nor 413. */
function isSmallForm({ 'content-type': type = '', 'content-length': length = '' }: IncomingHttpHeaders): boolean {
  return FORM.test(type) && /^\d{1,9}$/.test(length) && Number(length) <= MAX_BODY_BYTES;
}

const FORM = /^application\/x-www-form-urlencoded(?:;|$)/i;
/** Base64 of the 20 bytes of HMAC-SHA1. */
const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/;

function refuseUnsigned(deps: CallbackDeps, { headers, log }: FastifyRequest): void {
  const signature = headers['x-twilio-signature'] ?? '';
  if (typeof signature === 'string' && SIGNATURE.test(signature)) return;
  deps.countCallback('refused');
  deps.refused.unsigned(log, signature === '' ? 'missing' : 'malformed');
  throw wrongSignature();
}

function hasTooManyFields(body: string): boolean {
  let fields = 1;
  for (let at = body.indexOf('&'); at !== -1; at = body.indexOf('&', at + 1)) fields += 1;
  return fields > MAX_FIELDS;
}

function refuseForged(deps: CallbackDeps, request: FastifyRequest, form: URLSearchParams, rawQuery: string): void {
  const signature = String(request.headers['x-twilio-signature']);
  const [callbackUrl, { authTokens }] = [deps.callbackUrl(), deps];
  if (!isSigned(signature, form, urlsTwilioMaySign(callbackUrl, rawQuery), authTokens)) {
    deps.countCallback('refused');
    deps.refused.wronglySigned(request.log, () =>
      examineSignature({
        signature,
        body: String(request.body),
        target: request.raw.url ?? '',
        callbackUrl,
        authTokens,
        apiKeySecret: deps.apiKeySecret,
        listenerPorts: deps.listenerPorts(),
      }),
    );
    throw wrongSignature();
  }
  const accountSid = form.get('AccountSid');
  if (deps.accountSid === null || accountSid === null || accountSid === deps.accountSid) return;
  deps.countCallback('refused');
  deps.refused.ofAnotherAccount(request.log);
  throw new Refusal('forbidden', 'This callback is about another Twilio account.');
}

function wrongSignature(): Refusal {
  return new Refusal('forbidden', 'The signature of this callback is missing or wrong.');
}

const MAX_WORD = 250;
/** Not kept: the message row has them, and retention empties them there. */
const patientData = new Set(['Body', 'To', 'From', 'ChannelToAddress']);

function readCallback(form: URLSearchParams): Callback | null {
  const twilioSid = form.get('MessageSid') ?? '';
  const messageStatus = form.get('MessageStatus') ?? '';
  if (![twilioSid, messageStatus].every((word) => word !== '' && word.length <= MAX_WORD && !word.includes('\0'))) {
    return null;
  }
  const parameters = [...form]
    .filter(([name]) => !patientData.has(name))
    .map(([name, value]) => [asStorable(name), asStorable(value)]);
  return {
    twilioSid,
    messageStatus,
    errorCode: asStorable(form.get('ErrorCode') ?? '').slice(0, MAX_WORD) || null,
    errorMessage: asStorable(form.get('ErrorMessage') ?? '') || null,
    parameters: Object.fromEntries(parameters),
  };
}

/** Our id, which the callback URL carries for Twilio to bring it back. */
function readClaim(rawQuery: string): Claim | null {
  const query = new URLSearchParams(rawQuery);
  const [uuid = '', attempt = ''] = [query.get('m') ?? '', query.get('a') ?? ''];
  if (!/^[0-9a-f-]{36}$/.test(uuid)) return null;
  return { uuid, attempt: /^\d{1,9}$/.test(attempt) ? Number(attempt) : null };
}

/** PostgreSQL cannot hold NUL. */
function asStorable(value: string): string {
  return value.replaceAll('\0', '\u{FFFD}');
}

async function redactSoon(deps: CallbackDeps, finished: Received['finished']): Promise<void> {
  const isCalm = deps.redactor.inFlight() < CALM;
  const redacting = Promise.all(finished.map((message) => deps.redactor.redact(message)));
  if (deps.isQuiet) await redacting;
  else if (isCalm) await within(REDACTION_WAIT_MS, redacting);
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}
