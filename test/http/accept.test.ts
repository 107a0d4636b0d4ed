import { expect, test } from 'vitest';
import { chooseType } from '../../src/http/accept.ts';

const offers = ['application/json', 'text/csv', 'application/x-ndjson'] as const;

test.each([
  [undefined, 'application/json'],
  ['', 'application/json'],
  ['*/*', 'application/json'],
  ['application/*', 'application/json'],
  ['text/*', 'text/csv'],
  ['text/csv', 'text/csv'],
  ['TEXT/CSV', 'text/csv'],
  ['text/csv; header=present', 'text/csv'],
  ['application/x-ndjson, application/json;q=0.9', 'application/x-ndjson'],
  ['application/json;q=0.1, text/csv;q=0.2', 'text/csv'],
  ['text/csv, application/json', 'application/json'],
  ['text/csv, */*;q=0.1', 'text/csv'],
  ['application/json;q=0, */*', 'text/csv'],
  ['application/*;q=0.2, application/x-ndjson;q=0.3, text/*;q=0.1', 'application/x-ndjson'],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'application/json'],
  ['nonsense, ;;, text/csv ;q=0.5', 'text/csv'],
  ['text/csv;q=2, application/x-ndjson;q=0.001', 'application/x-ndjson'],
])('Accept: %s is answered with %s', (accept, type) => {
  expect(chooseType(accept, offers)).toBe(type);
});

test.each(['text/html', 'application/problem+json', 'application/json;q=0', '*/*;q=0', 'json', 'text/csv;q=x'])(
  'Accept: %s is not acceptable',
  (accept) => {
    expect(() => chooseType(accept, offers)).toThrow(
      'Accept: this address has application/json, text/csv, application/x-ndjson.',
    );
  },
);
