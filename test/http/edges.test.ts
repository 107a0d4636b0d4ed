import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem, rawRequest, sendRaw } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService, tenant, text } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

const countRows = async () => (await service.query('SELECT FROM message')).length;
const list = (query: string, headers: Record<string, string> = tenant) =>
  service.call(`/dhos/v1/sms${query}`, { headers });

/** Nothing may be recorded and nothing sent of what is refused. */
async function expectRefused(body: object, detail: string | RegExp, headers = tenant): Promise<void> {
  const before = [await countRows(), service.simulator?.messages().length];
  expectProblem(await service.post(body, headers), 400, detail);
  expect([await countRows(), service.simulator?.messages().length]).toEqual(before);
}

describe('Edges: a number that cannot be parsed or is not possible', () => {
  test.each([
    ['letters only', 'HELLO'],
    ['white space', '   '],
    ['one digit', '1'],
    ['an unknown country', '+999123456789'],
    ['nines', '+99999999999'],
    ['30 digits', '4'.repeat(30)],
    ['30 digits with a plus', `+${'4'.repeat(30)}`],
    ['too short for its country', '+4477'],
    ['too long for its country', '+4477009001234'],
    ['a plus alone', '+'],
    ['an e-mail address', 'someone@example.com'],
    ['two numbers', '+447700900123, +447700900124'],
  ])('%s: 400', async (_what, receiver) => {
    await expectRefused({ ...text, receiver }, 'receiver: must be a phone number that is possible.');
  });

  test('empty: 400', () => expectRefused({ ...text, receiver: '' }, 'receiver: must not be empty.'));

  test('250 characters are looked at, more are 400', async () => {
    await expectRefused({ ...text, receiver: ' '.repeat(250) }, /possible/);
    await expectRefused({ ...text, receiver: ' '.repeat(251) }, 'receiver: must not be longer than 250 characters.');
  });

  test('missing, null, a number, a list: 400', async () => {
    for (const receiver of [undefined, null, 447700900123, ['+447700900123']]) {
      await expectRefused({ ...text, receiver }, 'receiver: must be a text.');
    }
  });
});

describe('Edges: sender', () => {
  test('empty, missing or over 250 characters: 400', async () => {
    await expectRefused({ ...text, sender: '' }, 'sender: must not be empty.');
    await expectRefused({ ...text, sender: undefined }, 'sender: must be a text.');
    await expectRefused({ ...text, sender: 'x'.repeat(251) }, 'sender: must not be longer than 250 characters.');
  });
});

describe('Edges: content', () => {
  const tooLong = 'content: must not be longer than 1600 characters.';

  test('empty: 400', () => expectRefused({ ...text, content: '' }, 'content: must not be empty.'));
  test('missing, null, a number: 400', async () => {
    for (const content of [undefined, null, 5]) await expectRefused({ ...text, content }, 'content: must be a text.');
  });
  test('1,600 UTF-16 units are taken whole', async () => {
    const content = 'x'.repeat(1600);
    const { status, json } = await service.post({ ...text, content });
    expect([status, json.content]).toEqual([200, content]);
  });
  test('1,601 UTF-16 units: 400', () => expectRefused({ ...text, content: 'x'.repeat(1601) }, tooLong));
  test('an emoji counts as the two UTF-16 units that it is', async () => {
    const content = '🙂'.repeat(800);
    const { status, json } = await service.post({ ...text, content });
    expect([status, json.content]).toEqual([200, content]);
    await expectRefused({ ...text, content: `${content}x` }, tooLong);
  });
  test('NUL: 400, in every text', async () => {
    await expectRefused({ ...text, content: 'a\0b' }, 'content: must not contain a NUL character.');
    await expectRefused({ ...text, sender: 'a\0b' }, 'sender: must not contain a NUL character.');
    await expectRefused({ ...text, receiver: '+447700900123\0' }, 'receiver: must not contain a NUL character.');
    await expectRefused({ ...text, error_message: '\0' }, 'error_message: must not contain a NUL character.');
  });
  test('half a surrogate pair: 400', async () => {
    for (const half of ['\ud83d', '\ude42', 'a\ude42\ud83d', '🙂\ud83d']) {
      await expectRefused({ ...text, content: half }, 'content: must not contain half a surrogate pair.');
    }
  });
  test.each([
    ['a byte that is none', Buffer.from([0xff])],
    ['a sequence that breaks off', Buffer.from([0xe2, 0x82])],
    ['Latin-1', Buffer.from('é', 'latin1')],
    ['an overlong slash', Buffer.from([0xc0, 0xaf])],
    ['a surrogate in UTF-8', Buffer.from([0xed, 0xa0, 0xbd])],
  ])('invalid UTF-8, %s: 400', async (_what, bytes) => {
    const before = await countRows();
    const [head = '', tail = ''] = JSON.stringify({ ...text, content: '|' }).split('|');
    const body = Buffer.concat([Buffer.from(head), bytes, Buffer.from(tail)]);
    const headers = { 'content-type': 'application/json', ...tenant };
    const answer = await sendRaw(service.baseUrl, rawRequest('POST', '/dhos/v1/sms', headers, body));
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body).detail).toBe('The body is not valid UTF-8.');
    expect(await countRows()).toBe(before);
  });
  test('every other character arrives as it was sent', async () => {
    const content = 'line\r\nline\ttab " \\ / <b> & é ü ñ 漢字 עברית 👩‍👩‍👧 \u2028 \u0001 \u007f';
    const { status, json } = await service.post({ ...text, content });
    expect([status, json.content]).toEqual([200, content]);
    expect((await service.call(`/dhos/v1/sms/${json.uuid}`)).json.content).toBe(content);
  });
});

describe('Edges: error_code and error_message of an old client', () => {
  test('must be texts of a bounded length', async () => {
    await expectRefused({ ...text, error_code: 30003 }, 'error_code: must be a text.');
    await expectRefused(
      { ...text, error_code: 'x'.repeat(251) },
      'error_code: must not be longer than 250 characters.',
    );
    await expectRefused({ ...text, error_message: ['x'] }, 'error_message: must be a text.');
  });
});

describe('Edges: limit', () => {
  const ofLimits = { 'x-trustomer': 'limits', 'x-product': 'gdm' };
  const listed = async (query: string) => (await list(query, ofLimits)).json.length;

  beforeAll(async () => {
    for (let n = 0; n < 3; n++) await insertOriginalRow(service, { trustomer_code: 'limits' });
  });

  test('0: no limit', async () => expect(await listed('?limit=0')).toBe(3));
  test('1, and leading zeros', async () => {
    expect(await listed('?limit=1')).toBe(1);
    expect(await listed('?limit=002')).toBe(2);
  });
  test('2,147,483,647 is the largest', async () => {
    expect(await listed('?limit=2147483647')).toBe(3);
    expectProblem(await list('?limit=2147483648'), 400, 'limit: must not be larger than 2147483647.');
  });
  test.each(['-1', '-0', 'ten', '1.5', '1e3', '0x10', '', '%20', '+5', '99999999999', `${'9'.repeat(400)}`, '٣'])(
    'negative, not a number or huge (%s): 400',
    async (limit) => {
      expectProblem(await list(`?limit=${limit}`), 400, 'limit: must be a whole number, 0 or more.');
    },
  );
  test('twice: 400', async () => {
    expectProblem(await list('?limit=1&limit=2'), 400, 'limit: must come once.');
  });
});

describe('Edges: receiver= of the list', () => {
  test('twice, NUL, too long: 400', async () => {
    expectProblem(await list('?receiver=1&receiver=2'), 400, 'receiver: must be a text.');
    expectProblem(await list('?receiver=%00'), 400, 'receiver: must not contain a NUL character.');
    expectProblem(await list(`?receiver=${'1'.repeat(251)}`), 400, 'receiver: must not be longer than 250 characters.');
  });
  test('bytes that are no UTF-8 find nothing', async () => {
    expect((await list('?receiver=%FF')).json).toEqual([]);
  });
});

describe('Edges: empty X-Trustomer or X-Product', () => {
  test.each(['x-trustomer', 'x-product'])('empty or blank %s: 400, on POST, list and DELETE', async (name) => {
    const { uuid } = await insertOriginalRow(service);
    for (const value of ['', '  ', '\t']) {
      const headers = { ...tenant, [name]: value };
      const detail = `${name}: must not be empty.`;
      await expectRefused(text, detail, headers);
      expectProblem(await list('', headers), 400, detail);
      expectProblem(await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers }), 400, detail);
    }
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).status).toBe(200);
  });

  test('twice, or over 250 characters: 400', async () => {
    await expectRefused(text, 'x-trustomer: must come once.', { ...tenant, 'x-trustomer': 'a, b' });
    const tooLong = { ...tenant, 'x-product': 'x'.repeat(251) };
    await expectRefused(text, 'x-product: must not be longer than 250 characters.', tooLong);
  });
});
