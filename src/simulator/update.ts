import { refuse, refuseWithStatus, type TwilioError } from './twilio-error.ts';

/**
 * Why this form of an update is refused, if it is. The one update there is empties the text, `Body=` alone; Twilio's other one,
 * `Status=canceled`, is for scheduled messages, which the simulator does not take.
 */
export function refuseUpdate(form: URLSearchParams): TwilioError | undefined {
  if (form.has('Status')) return refuseWithStatus(400, "Parameter 'Status' is not supported by this simulator.");
  const unknown = [...form.keys()].find((name) => name !== 'Body');
  if (unknown !== undefined) return refuse(20001, unknown);
  if (form.getAll('Body').join() !== '') return refuseWithStatus(400, 'Body can only be updated to an empty string.');
  if (!form.has('Body')) return refuseWithStatus(400, "Nothing to update: give 'Body=' to redact the text.");
  return undefined;
}
