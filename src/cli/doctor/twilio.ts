import type { TwilioConfig } from '../../config-twilio.ts';
import { openTwilioClient } from '../../twilio/client.ts';
import { failed, ok, type Result, skipped } from './finding.ts';

/** Asks Twilio for one message and looks at nothing but whether the credentials were good. */
export async function checkTwilio(twilio: TwilioConfig, timeoutMs: number): Promise<Result> {
  if (twilio.server === 'lively') return skipped('the simulator in the process takes the place of Twilio');
  if (twilio.server === 'quiet') return skipped('Twilio is disabled');
  const key = twilio.apiKey === null ? null : await ask(twilio, timeoutMs);
  if (key !== null && key !== 'ok') return refused(key, 'TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET');
  // The token counts as well when a key makes the calls: callbacks are signed with it.
  const token = await ask({ ...twilio, apiKey: null }, timeoutMs);
  if (token !== 'ok') return refused(token, 'TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN');
  return ok(
    `${new URL(twilio.baseUrl).host} accepts the ${key === null ? 'auth token' : 'API key and the auth token'}`,
  );
}

async function ask(twilio: TwilioConfig, timeoutMs: number): Promise<string> {
  const client = openTwilioClient({ ...twilio, timeoutMs, maxConcurrency: 1 });
  try {
    const outcome = await client.list({ pageSize: 1 });
    return outcome.kind === 'listed' ? 'ok' : outcome.reason;
  } finally {
    await client.close();
  }
}

/** `reason` is a status and a code, or the code of a connection's error. */
function refused(reason: string, variables: string): Result {
  if (/^HTTP status 401/.test(reason)) return failed(`Twilio refuses the credentials (${reason})`, `mend ${variables}`);
  if (/^HTTP status (403|404)/.test(reason)) {
    return failed(`Twilio refuses the account (${reason})`, "look at the account in Twilio's console");
  }
  if (/^HTTP status/.test(reason))
    return failed(`Twilio answers with a fault (${reason})`, "look at Twilio's status page");
  return failed(`Twilio cannot be reached (${reason})`, 'check TWILIO_BASE_URL and the way to the internet');
}
