import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeKeyedHash } from '../../src/message/keyed-hash.ts';

const hash = makeKeyedHash('a key of the tests');
const parts = fc.array(fc.option(fc.string({ unit: 'binary', maxLength: 12 })), { maxLength: 5 });
const purpose = fc.constantFrom('text' as const, 'idempotency key' as const, 'request' as const);

describe('a keyed hash', () => {
  test('has 43 characters of base64url, whatever it is of', () => {
    fc.assert(
      fc.property(purpose, parts, (why, some) => {
        expect(hash(why, some)).toMatch(/^[A-Za-z0-9_-]{43}$/);
      }),
    );
    expect(hash('text', ['x'.repeat(1_600)])).toHaveLength(43);
  });

  test('is the same for the same key, purpose and parts, also in another process that was given the key', () => {
    expect(makeKeyedHash('a key of the tests')('text', ['+447700900001', '+447700900123', 'Hello'])).toBe(
      hash('text', ['+447700900001', '+447700900123', 'Hello']),
    );
    // Rows of an older start must be found by a newer one: this value may never change.
    expect(hash('text', ['a', 'b'])).toBe('HzJ6uOp21m-cVPmPtRdFt-iTTCImcUyqIjaCIS0_m1A');
  });

  test('tells apart what is not the same: other parts, other borders between them, null and the word null', () => {
    const all = [
      ['ab', 'c'],
      ['a', 'bc'],
      ['abc'],
      ['abc', ''],
      ['', 'abc'],
      ['abc', null],
      [null],
      ['null'],
      [''],
      [],
      ['a","b'],
      ['a', 'b'],
    ];
    expect(new Set(all.map((some) => hash('text', some))).size).toBe(all.length);
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other));
        expect(hash('request', one)).not.toBe(hash('request', other));
      }),
    );
  });

  test('of one purpose is never that of another, so a key can never be taken for a text', () => {
    fc.assert(
      fc.property(parts, (some) => {
        const hashes = [hash('text', some), hash('idempotency key', some), hash('request', some)];
        expect(new Set(hashes).size).toBe(3);
      }),
    );
  });

  test('says nothing without the key: another key, another hash', () => {
    expect(makeKeyedHash('another key of the tests')('text', ['a'])).not.toBe(hash('text', ['a']));
  });

  test('two lone surrogates that UTF-8 could not tell apart are told apart', () => {
    expect(hash('text', ['\ud800'])).not.toBe(hash('text', ['\ud801']));
  });
});
