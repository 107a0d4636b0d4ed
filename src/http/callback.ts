import { within } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Received } from '../message/callback.ts';
import type { Callback, Claim } from '../message/callbacks.ts';
import type { Redactor } from '../message/redact.ts';
import { asStatus } from '../message/status.ts';
import { isSigned, urlsTwilioMaySign } from '../twilio/signature.ts';
import type { HttpApp } from './app-type.ts';
import { noContent, problems } from './schemas.ts';

export type CallbackDeps = {
  readonly receive: (callback: Callback, claim: Claim | null) => Promise<Received>;
  readonly redactor: Redactor;
  readonly callbackUrl: () => string;
  readonly authTokens: readonly string[];
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
    '/dhos/v1/sms/callback',
    {
      // Twilio shows its signature.
      config: { scope: 'open' },
      schema: {
        summary: "Twilio's status callback",
        description: 'A form, signed by Twilio: `X-Twilio-Signature`. Fields that nobody knew yet are kept.',
        tags: ['twilio'],
        response: { 204: noContent('Committed'), ...problems(400, 403, 413, 415, 503) },
      },
    },
    async (request, reply) => {
      if (typeof request.body !== 'string') throw new Refusal('unsupported media type', 'A form is expected.');
      const form = new URLSearchParams(request.body);
      const [, rawQuery = ''] = splitOnce(request.raw.url ?? '', '?');
      if (!isGenuine(deps, form, rawQuery, request.headers['x-twilio-signature'])) {
        deps.countCallback('refused');
        request.log.warn({ fields: [...new Set(form.keys())].length }, 'a callback with a wrong signature was refused');
        throw new Refusal('forbidden', 'The signature of this callback is missing or wrong.');
      }
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

function isGenuine(deps: CallbackDeps, form: URLSearchParams, rawQuery: string, signature: unknown): boolean {
  if (typeof signature !== 'string') return false;
  if (!isSigned(signature, form, urlsTwilioMaySign(deps.callbackUrl(), rawQuery), deps.authTokens)) return false;
  const accountSid = form.get('AccountSid');
  return deps.accountSid === null || accountSid === null || accountSid === deps.accountSid;
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
