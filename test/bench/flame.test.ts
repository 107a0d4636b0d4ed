import { expect, test } from 'vitest';
import { flameGraph, longest, type Profile } from './flame.ts';

const call = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 });
const profile: Profile = {
  nodes: [
    { id: 1, callFrame: call('(root)'), children: [2, 3, 6] },
    { id: 2, callFrame: call('(idle)') },
    { id: 3, callFrame: call('accept<T>', 'file:///app/src/message/accept.ts'), children: [4, 5] },
    { id: 4, callFrame: call('query', 'file:///app/node_modules/pg/client.js') },
    { id: 5, callFrame: call('', 'node:internal/timers') },
    { id: 6, callFrame: call('query', 'file:///app/node_modules/pg/client.js') },
  ],
  samples: [2, 3, 4, 4, 5, 6],
  timeDeltas: [9_000, 1_000, 2_000, 3_000, 1_000, 3_000],
};

test('what ran longest is counted over all callers, without the time that was idle', () => {
  expect(longest(profile, 2)).toEqual([
    { what: 'query pg/client.js:10', share: 0.8 },
    { what: 'accept<T> message/accept.ts:10', share: 0.1 },
  ]);
});

test('each call is as wide as its time, beneath its caller, and named', () => {
  const svg = flameGraph(profile, 'a title with <b>');
  const boxes = [
    ...svg.matchAll(/<title>([^:]+:\d+|[^:]+): ([^<]+)<\/title><rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"/g),
  ];
  const accept = boxes.find(([, name]) => name?.startsWith('accept'));
  expect(accept?.slice(2)).toEqual(['7.0 ms, itself 1.0 ms', '0.0', '17', '979.7']);
  expect(svg).toContain('accept&lt;T>');
  expect(svg).toContain('a title with &lt;b>');
  expect(svg).not.toContain('(idle)');
});

test('an empty profile is said to be one', () => {
  expect(() => flameGraph({ nodes: [], samples: [], timeDeltas: [] }, '')).toThrow('the profile is empty');
});
