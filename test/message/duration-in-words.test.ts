import { expect, test } from 'vitest';
import { durationInWords } from '../../src/message/duration-in-words.ts';

test.each([
  [0, 'a moment'],
  [-3, 'a moment'],
  [0.9, 'a moment'],
  [1.9, 'a second'],
  [59.9, '59 seconds'],
  [60, 'a minute'],
  [60.9, 'a minute'],
  [61, '61 seconds'],
  [119.9, '119 seconds'],
  [120, '2 minutes'],
  [3_599, '59 minutes'],
  [3_600, 'an hour'],
  [3_660, '61 minutes'],
  [7_199, '119 minutes'],
  [7_200, '2 hours'],
  [86_400, 'a day'],
  [90_000, '25 hours'],
  [172_799, '47 hours'],
  [172_800, '2 days'],
])('%d s in words are %s', (seconds, words) => {
  expect(durationInWords(seconds)).toBe(words);
});
