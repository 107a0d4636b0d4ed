import { expect, test } from 'vitest';
import { durationInWords } from '../../src/message/duration-in-words.ts';

test.each([
  [0, '0 seconds'],
  [-3, '0 seconds'],
  [1.9, '1 second'],
  [119.9, '119 seconds'],
  [120, '2 minutes'],
  [7_199, '119 minutes'],
  [7_200, '2 hours'],
  [172_799, '47 hours'],
  [172_800, '2 days'],
])('%d s in words are %s', (seconds, words) => {
  expect(durationInWords(seconds)).toBe(words);
});
