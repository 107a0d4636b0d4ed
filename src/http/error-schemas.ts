import { z } from 'zod';
import type { ErrorCode } from '../twilio/error-codes.ts';

export const errorCode = z
  .object({
    code: z.string().describe("Twilio's"),
    class: z.enum(['account', 'for good', 'configuration', 'later']).describe('What it means for sending'),
    means: z.string().describe('In plain words'),
    what_to_do: z.string(),
    can_we_fix: z.enum(['yes', 'no', 'partly']).describe('Is it ours to mend?'),
    who: z.string().describe('Who can do something about it'),
  })
  .meta({
    id: 'ErrorCode',
    examples: [
      {
        code: '21614',
        class: 'for good',
        means: 'The receiver is not a mobile number.',
        what_to_do: 'Ask the patient for a mobile number, correct the record, and send to that one.',
        can_we_fix: 'no',
        who: 'the clinic that holds the number',
      },
    ],
  });

export function toWireErrorCode({
  code,
  means,
  whatToDo,
  canWeFix,
  who,
  ...rest
}: ErrorCode): z.infer<typeof errorCode> {
  return { code, class: rest.class, means, what_to_do: whatToDo, can_we_fix: canWeFix, who };
}
