import type { VariableReader } from './variables.ts';

export type TwilioConfig = {
  /** `twilio`: a server we are given; `lively` and `quiet`: the simulator, in this process. */
  readonly server: 'twilio' | 'lively' | 'quiet';
  readonly accountSid: string;
  /** The first one makes calls (unless there is an API key); all of them are accepted on callbacks. */
  readonly authTokens: readonly string[];
  readonly apiKey: { readonly sid: string; readonly secret: string } | null;
  readonly baseUrl: string;
  /** The public URL Twilio calls; null = our own loopback address. */
  readonly callbackUrl: string | null;
  /** URL fragment that tunes Twilio's callback retries (TWILIO.md 11); '' = none. */
  readonly callbackOverrides: string;
  readonly timeoutMs: number;
  readonly maxConcurrency: number;
};

const twilioVariables = [
  'TWILIO_ACCOUNT_SID',
  'TWILIO_AUTH_TOKEN',
  'TWILIO_CALL_BACK_URL',
  'TWILIO_AUTH_TOKEN_SECONDARY',
  'TWILIO_API_KEY_SID',
  'TWILIO_API_KEY_SECRET',
  'TWILIO_BASE_URL',
] as const;

export function readTwilio(reader: VariableReader, isProduction: boolean): TwilioConfig {
  const isDisabled = reader.boolean('TWILIO_DISABLED', false) && !isProduction;
  const isConfigured = isProduction || !reader.noneOf(twilioVariables);
  const secondary = reader.text('TWILIO_AUTH_TOKEN_SECONDARY');
  return {
    server: isDisabled ? 'quiet' : isConfigured ? 'twilio' : 'lively',
    accountSid: isConfigured ? readAccountSid(reader, isProduction) : '',
    authTokens: isConfigured ? [reader.required('TWILIO_AUTH_TOKEN'), ...(secondary === null ? [] : [secondary])] : [],
    apiKey: readApiKey(reader),
    baseUrl: readBaseUrl(reader),
    callbackUrl: isConfigured ? readCallbackUrl(reader) : null,
    callbackOverrides: reader.textOrEmpty('TWILIO_CALLBACK_OVERRIDES') ?? 'rc=5&rp=ct,rt,5xx&ct=2000&rt=2500',
    // A POST answers within 14 s (CONTRACT), so Twilio may take 11 of them at the most.
    timeoutMs: reader.integer('TWILIO_TIMEOUT_MS', 10_000, 100, 11_000),
    maxConcurrency: reader.integer('TWILIO_MAX_CONCURRENCY', 50, 1, 1000),
  };
}

function readBaseUrl(reader: VariableReader): string {
  const url = reader.url('TWILIO_BASE_URL', ['http:', 'https:']) ?? 'https://api.twilio.com';
  if (new URL(url).username !== '') reader.problem('TWILIO_BASE_URL', 'must not hold a user and password');
  return url.replace(/(?<!\/)\/+$/, '');
}

function readAccountSid(reader: VariableReader, isProduction: boolean): string {
  const sid = reader.required('TWILIO_ACCOUNT_SID');
  if (isProduction && sid !== '' && !/^AC[0-9a-fA-F]{32}$/.test(sid)) {
    reader.problem('TWILIO_ACCOUNT_SID', 'must be AC followed by 32 hexadecimal digits');
  }
  return sid;
}

function readCallbackUrl(reader: VariableReader): string {
  reader.required('TWILIO_CALL_BACK_URL');
  return reader.url('TWILIO_CALL_BACK_URL', ['http:', 'https:']) ?? '';
}

function readApiKey(reader: VariableReader): TwilioConfig['apiKey'] {
  if (reader.noneOf(['TWILIO_API_KEY_SID', 'TWILIO_API_KEY_SECRET'])) return null;
  return { sid: reader.required('TWILIO_API_KEY_SID'), secret: reader.required('TWILIO_API_KEY_SECRET') };
}
