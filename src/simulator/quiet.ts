import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { MessagesApi } from './api.ts';
import { asResource, type TwilioMessage } from './messages.ts';

/**
 * The Twilio behind `TWILIO_DISABLED`: whatever it is asked, it agrees, as the mock of the original did. It remembers nothing, so it
 * answers `sent` about any message and has emptied any text; it calls nobody back and takes any credentials.
 */
export function createQuietApi(clock: Clock): MessagesApi {
  return {
    knows: () => true,
    owns: () => true,
    create: (accountSid, form) => asSent(accountSid, `SM${randomBytes(16).toString('hex')}`, form, clock.now()),
    // It does not remember when it sent, and another moment each time would be a change each time.
    fetch: (accountSid, sid) => ({ ...asSent(accountSid, sid, new URLSearchParams(), clock.now()), date_sent: null }),
    update: (accountSid, sid) => asSent(accountSid, sid, new URLSearchParams(), clock.now()),
  };
}

function asSent(accountSid: string, sid: string, form: URLSearchParams, now: Date): TwilioMessage {
  return asResource({
    sid,
    accountSid,
    to: form.get('To') ?? '',
    from: form.get('From'),
    messagingServiceSid: form.get('MessagingServiceSid'),
    body: form.get('Body') ?? '',
    statusCallback: null,
    segments: 1,
    status: 'sent',
    errorCode: null,
    created: now,
    sent: now,
    updated: now,
  });
}
