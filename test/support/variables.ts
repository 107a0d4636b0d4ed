import { expect } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { CannotStart } from '../../src/errors.ts';

export type Variables = Record<string, string | undefined>;

export const development = { ENVIRONMENT: 'DEVELOPMENT' };
export const database = {
  DATABASE_HOST: 'db.example',
  DATABASE_PORT: '5433',
  DATABASE_USER: 'sms user',
  DATABASE_PASSWORD: 'p@ss/w:rd',
  DATABASE_NAME: 'sms db',
};
export const twilio = {
  TWILIO_ACCOUNT_SID: `AC${'0123456789abcdefABCDEF0123456789'}`,
  TWILIO_AUTH_TOKEN: 'the-token',
  TWILIO_CALL_BACK_URL: 'https://sms.example/dhos/v1/sms/callback',
};
export const production = { ...database, ...twilio, COUNTRY_CODE: 'GB' };

/** The lines of the refusal, sorted. */
export function problemsOf(env: Variables, read: (env: Variables) => unknown = readConfig): string[] {
  try {
    read(env);
  } catch (error) {
    expect(error).toBeInstanceOf(CannotStart);
    return error instanceof Error ? error.message.split('\n').sort() : [];
  }
  return [];
}
