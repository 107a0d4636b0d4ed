import { refuse, refuseWithStatus, type TwilioError } from './twilio-error.ts';

/** The two updates there are: `Body=` alone empties the text, `Status=canceled` alone holds the message back. */
export function readUpdate(form: URLSearchParams): 'redact' | 'cancel' | TwilioError {
  const unknown = [...form.keys()].find((name) => name !== 'Body' && name !== 'Status');
  if (unknown !== undefined) return refuse(20001, unknown);
  const [body, status] = [form.getAll('Body'), form.getAll('Status')];
  if (body.length + status.length !== 1) {
    return refuseWithStatus(400, "Give either 'Body=' to redact the text or 'Status=canceled' to cancel, once.");
  }
  if (status.length === 0) {
    return body[0] === '' ? 'redact' : refuseWithStatus(400, 'Body can only be updated to an empty string.');
  }
  return status[0] === 'canceled' ? 'cancel' : refuseWithStatus(400, 'Status can only be updated to canceled.');
}
