import type { Answer } from './deed.ts';
import type { Damage } from './scenario.ts';

/** The answer with the content that this damage gives it; damage done on the way leaves the content alone. */
export function damage(kind: Damage | undefined, answer: Answer, otherSid: () => string | undefined): Answer {
  if (kind === 'wrong-types') return { ...answer, body: withWrongTypes(answer.body) };
  if (kind === 'foreign-sid') return { ...answer, body: { ...answer.body, sid: otherSid() ?? `SM${'0'.repeat(32)}` } };
  return answer;
}

/** Still JSON, and still an object: only what is in it is not what it should be. */
function withWrongTypes(body: object | null): object {
  if (body !== null && 'messages' in body) return { ...body, messages: { none: true }, next_page_uri: 7 };
  return { ...body, sid: 42, status: ['queued'], error_code: 'none', date_sent: {} };
}
