import type { Config } from '../../config.ts';
import type { TwilioConfig } from '../../config-twilio.ts';
import { statusCallbackUrl } from '../../twilio/callback-url.ts';
import { sign, signedPartOf, withoutFragment } from '../../twilio/signature.ts';
import { type Api, askAddress, type Reply } from '../api.ts';
import { Failure } from '../failure.ts';
import { failed, ok, type Result, skipped } from './finding.ts';

/**
 * The service looks at the signature before it looks at a field, so a form without MessageSid tells a good signature (400)
 * from a bad one (403), and writes nothing in either case. TWILIO.md 12 and 13 say what is signed.
 */
const CALLBACK_PATH = '/dhos/v1/sms/callback';
/** Where Twilio's callbacks have the message's id; it is of no message, and is not looked at before the fields are. */
const NO_MESSAGE = { uuid: 'doctor', n: 0 };

type Probe = 'good' | 'refused' | { readonly strange: string };

/** Is the public URL one that Twilio can use, and does this installation answer there? */
export async function checkCallbackUrl({ environment, twilio }: Config, timeoutMs: number): Promise<Result> {
  if (twilio.callbackUrl === null) return skipped('the simulator in the process calls back on loopback');
  if (twilio.server === 'quiet') return skipped('Twilio is disabled: nothing calls back');
  const { protocol, pathname } = new URL(twilio.callbackUrl);
  if (protocol !== 'https:' && environment === 'PRODUCTION') {
    return failed('it is not https: anybody on the way could read and change callbacks', mend);
  }
  if (!pathname.endsWith(CALLBACK_PATH)) return failed(`its path does not end in ${CALLBACK_PATH}`, mend);
  const [token = ''] = twilio.authTokens;
  const address = fullUrl(twilio.callbackUrl);
  const good = await probe({ twilio, address, token, timeoutMs });
  if (good === 'refused') {
    return failed(
      'what answers there refuses a good signature: another installation, or one with another token or URL',
      'point it at this service; the log of what answers there says which variant of the URL would match',
    );
  }
  if (good !== 'good') return failed(`${good.strange}; it must answer as this service does`, reach);
  return ok(protocol === 'https:' ? 'https, and this installation answers there' : 'this installation answers there');
}

const mend = 'mend TWILIO_CALL_BACK_URL';
const reach =
  'open the way from the internet to the service. If only this machine cannot go that way, check from another, or --skip "callback URL"';

/** Does the running service accept what Twilio would sign with the configured tokens, and nothing else? */
export async function checkSignature(twilio: TwilioConfig, api: Api, timeoutMs: number): Promise<Result> {
  if (twilio.callbackUrl === null || twilio.authTokens.length === 0) {
    return skipped('the simulator in the process has a token of its own');
  }
  const path = new URL(fullUrl(twilio.callbackUrl)).search;
  const address = `${api.baseUrl}${CALLBACK_PATH}${path}`;
  for (const [n, token] of twilio.authTokens.entries()) {
    const good = await probe({ twilio, address, token, timeoutMs });
    const name = n === 0 ? 'TWILIO_AUTH_TOKEN' : 'TWILIO_AUTH_TOKEN_SECONDARY';
    if (good === 'refused') {
      return failed(
        `the running service refuses what ${name} signs`,
        `it runs with another ${name}, TWILIO_CALL_BACK_URL or TWILIO_ACCOUNT_SID than this environment: start it again with these. Its log says what would match`,
      );
    }
    if (good !== 'good') return failed(good.strange, 'is --url that of the service?');
  }
  const bad = await probe({ twilio, address, token: `not ${twilio.authTokens[0]}`, timeoutMs });
  if (bad === 'good')
    return failed('the running service accepts a wrong signature', 'stop it: callbacks can be forged');
  if (bad !== 'refused') return failed(bad.strange, 'is --url that of the service?');
  return ok('good ones are accepted, a wrong one is refused');
}

/** As Twilio calls it: with the query that names a message, without the fragment. */
function fullUrl(callbackUrl: string): string {
  return withoutFragment(statusCallbackUrl(callbackUrl, '', NO_MESSAGE));
}

async function probe(options: {
  readonly twilio: TwilioConfig;
  readonly address: string;
  readonly token: string;
  readonly timeoutMs: number;
}): Promise<Probe> {
  const { twilio, address, token, timeoutMs } = options;
  const form = new URLSearchParams({ AccountSid: twilio.accountSid });
  const signature = sign(token, signedPartOf(fullUrl(twilio.callbackUrl ?? '')), form);
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature };
  try {
    return readProbe(await askAddress(address, { method: 'POST', headers, body: form.toString(), timeoutMs }));
  } catch (error) {
    if (error instanceof Failure) return { strange: error.message.replace(/ Set --url.*$/, '').replace(/\.$/, '') };
    throw error;
  }
}

function readProbe({ status, headers, body }: Reply): Probe {
  const isOurs = /^application\/problem\+json/.test(headers['content-type'] ?? '');
  if (isOurs && status === 403) return 'refused';
  if (isOurs && status === 400 && body.includes('MessageSid')) return 'good';
  return { strange: `HTTP status ${status} came back` };
}
