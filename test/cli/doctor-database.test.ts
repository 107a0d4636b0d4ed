import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';
import { closedAddress, startTcpServer } from '../support/tcp.ts';
import { allWell, findingOf, type Patient, resultsOf, startPatient } from './doctor-support.ts';

let patient: Patient;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  patient = await startPatient();
});
afterAll(() => patient.stop());
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

describe('doctor and the database', () => {
  test('the database is down: it and the health of the service FAILED', async () => {
    const database = await createDatabase();
    const network = await startProxy(database.url);
    const cutOff = await startPatient(network.url);
    cleanUps.push(database.drop, network.close, cutOff.stop);
    network.cut();
    const { code, found } = await cutOff.examine();
    expect(code).toBe(1);
    expect(resultsOf(found)).toEqual({ ...allWell, database: 'FAILED', 'service health': 'FAILED' });
    expect(findingOf(found, 'service health')?.detail).toMatch(/^database: /);
  });

  test.for([
    ['nothing listens there', async () => (await closedAddress()).replace('http', 'postgres')],
    ['there is no such database', async () => patient.env.DATABASE_URL?.replace(/\/\w+$/, '/no_such_database') ?? ''],
    ['it refuses user or password', async () => patient.env.DATABASE_URL?.replace(/\/\/.*@/, '//canary:canary@') ?? ''],
  ] as const)('a database that cannot be used: %s', async ([reason, url]) => {
    const { found, stdout } = await patient.examine({ DATABASE_URL: await url() });
    expect(findingOf(found, 'database')).toMatchObject({ result: 'FAILED', detail: expect.stringContaining(reason) });
    expect(stdout).not.toContain('canary');
  });

  test('a database without tables: says how to make them', async () => {
    const empty = await createDatabase('empty');
    cleanUps.push(empty.drop);
    const { found } = await patient.examine({ DATABASE_URL: empty.url });
    expect(findingOf(found, 'database')).toMatchObject({
      result: 'FAILED',
      advice: expect.stringContaining('make migrate'),
    });
  });

  test('a database that takes the connection and is silent is given up in time', async () => {
    const mute = await startTcpServer(() => {});
    cleanUps.push(mute.close);
    const { found } = await patient.examine({ DATABASE_URL: mute.url.replace('http', 'postgres') }, '--timeout', '2');
    expect(findingOf(found, 'database')?.result).toBe('FAILED');
  });
});
