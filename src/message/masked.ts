import { meaningOf } from '../twilio/error-codes.ts';
import type { Message } from './message.ts';

const MASKED_TEXT = '[masked]';
const LEFT = 4;
const LEAST_DIGITS = 8;
const TWILIO_CODE = /^\d{1,6}$/;

/**
 * The message for those who may follow it but not read it: no text, the last four digits of the number. The error may be a
 * caller's own words, and a sentence of Twilio's may repeat the number: a code of Twilio's stays, with our sentence for it.
 */
export function masked(message: Message): Message {
  const code = maskedCode(message.error_code);
  return {
    ...message,
    content: message.content === '' ? '' : MASKED_TEXT,
    receiver: maskedNumber(message.receiver),
    receiver_e164: null,
    error_code: code,
    error_message: meaningOf(code),
  };
}

/** Twilio's code, nobody's own words. */
export function maskedCode(code: string | null): string | null {
  return code !== null && TWILIO_CODE.test(code) ? code : null;
}

/** A short number would be known by its last digits, and what retention left in a number's place stands for it: nothing is left of those. */
export function maskedNumber(receiver: string): string {
  const digits = receiver.replace(/\D/g, '');
  const isPlain = /^[+\d\s().-]+$/.test(receiver) && digits.length >= LEAST_DIGITS;
  return isPlain ? `****${digits.slice(-LEFT)}` : '****';
}
