import { randomBytes } from 'node:crypto';
import type { MessagesApi } from './api.ts';
import { answeredWith } from './deed.ts';
import { listPage, listPath } from './list.ts';
import { readListQuery } from './list-query.ts';
import { createMessageStore } from './message-store.ts';
import { asResource, type TwilioMessage } from './messages.ts';
import type { Time } from './time.ts';
import { isRefused } from './twilio-error.ts';

/**
 * The Twilio behind `TWILIO_DISABLED`: whatever it is asked, it agrees, as the mock of the original did. It remembers nothing, so it
 * answers `sent` about any message and has emptied any text; it calls nobody back, lists nothing and takes any credentials.
 */
export function createQuietApi(time: Time): MessagesApi {
  const nothing = createMessageStore();
  const sent = (accountSid: string, sid: string, form: URLSearchParams, status: number) =>
    answeredWith({ status, body: asSent(accountSid, sid, form, time.now()) });
  const everything = readListQuery(new URLSearchParams());

  return {
    knows: () => true,
    owns: () => true,
    create: (accountSid, form) => sent(accountSid, `SM${randomBytes(16).toString('hex')}`, form, 201),
    list: (accountSid) =>
      isRefused(everything)
        ? everything
        : answeredWith({ status: 200, body: listPage(nothing, everything, listPath(accountSid), 0) }),
    // It does not remember when it sent, and another moment each time would be a change each time.
    fetch: (accountSid, sid) => {
      const body = asSent(accountSid, sid, new URLSearchParams(), time.now());
      return answeredWith({ status: 200, body: { ...body, date_sent: null } });
    },
    update: (accountSid, sid) => sent(accountSid, sid, new URLSearchParams(), 200),
    remove: () => answeredWith({ status: 204, body: null }),
    sidOtherThan: () => undefined,
  };
}

function asSent(accountSid: string, sid: string, form: URLSearchParams, now: number): TwilioMessage {
  return asResource({
    sid,
    accountSid,
    to: form.get('To') ?? '',
    from: form.get('From'),
    messagingServiceSid: form.get('MessagingServiceSid'),
    body: form.get('Body') ?? '',
    statusCallback: null,
    segments: 1,
    textHash: '',
    refusal: null,
    status: 'sent',
    errorCode: null,
    created: now,
    sent: now,
    updated: now,
  });
}
