import { describe, expect, test } from 'vitest';
import { magicNumbers } from '../../src/simulator/magic-numbers.ts';
import { create, receiver, sender, simulate } from './support.ts';

const cases = magicNumbers.flatMap(({ field, numbers, inWords, outcome }) =>
  numbers.flatMap((number) => numbersLike(number).map((spelled) => ({ field, number: spelled, inWords, outcome }))),
);

describe('a message', () => {
  test.for(cases)('$field $number: $inWords', async ({ field, number, outcome }) => {
    const simulator = await simulate();
    const answer = await create(simulator, { [field]: number });
    await simulator.settled();
    if ('endsAs' in outcome) {
      const { status, errorCode } = outcome.endsAs;
      expect(answer.status).toBe(201);
      expect(simulator.messages()).toMatchObject([{ status, error_code: errorCode }]);
    } else {
      expect(answer.json).toMatchObject({ code: outcome.refusedWith, status: answer.status });
      expect(simulator.messages()).toEqual([]);
    }
  });

  test.for([
    ['+447700900998', 429, 20429],
    ['+447700900999', 500, 20500],
    ['+447700900997', 400, 21408],
    ['+15005550009', 400, 21614],
  ] as const)('to %s is answered %i with code %i', async ([To, status, code]) => {
    expect(await create(await simulate(), { To })).toMatchObject({ status, json: { code, status } });
  });

  test('to …0998 says when to come back', async () => {
    const { headers } = await create(await simulate(), { To: '+447700900998' });
    expect(headers.get('retry-after')).toBe('1');
  });

  test('that ends undelivered says why, and was sent before', async () => {
    const simulator = await simulate();
    await create(simulator, { To: '+12025550190' });
    await simulator.settled();
    expect(simulator.messages()).toMatchObject([
      { error_code: 30003, error_message: 'Unreachable destination handset', date_sent: expect.any(String) },
    ]);
  });

  test('that fails was never sent', async () => {
    const simulator = await simulate();
    await create(simulator, { To: '+12025550193' });
    await simulator.settled();
    expect(simulator.messages()).toMatchObject([{ status: 'failed', error_code: 30008, date_sent: null }]);
  });

  test.for([receiver, '+447911120990', '+12125560190'])('to %s is delivered: no magic outside fiction', async (To) => {
    const simulator = await simulate();
    await create(simulator, { To });
    await simulator.settled();
    expect(simulator.messages()).toMatchObject([{ status: 'delivered' }]);
  });

  test('from a refused sender to a refused receiver is refused for its sender', async () => {
    const answer = await create(await simulate(), { From: '+15005550007', To: '+15005550009' });
    expect(answer.json).toMatchObject({ code: 21606, message: expect.stringContaining('+15005550007') });
    expect(sender).not.toBe('+15005550007');
  });
});

/** A whole number is itself; an ending stands for numbers of both ranges kept for fiction, where it fits. */
function numbersLike(number: string): string[] {
  if (number.startsWith('+')) return [number];
  const british = `+447700900${number.slice(1)}`;
  return number.startsWith('01') ? [british, `+1202555${number}`] : [british];
}
