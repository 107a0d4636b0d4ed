import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import twilio from 'twilio';
import { afterEach } from 'vitest';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts';

/** Everything that a test started, ended after it in reverse order. */
const started: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const stop of started.splice(0).reverse()) await stop();
});

/** A simulator a thousand times as fast as life, unless the test says otherwise. */
export async function simulate(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator({ speed: 1000, ...options });
  started.push(simulator.stop);
  return simulator;
}

/** A simulator whose time stands still until the test drives it, with this scenario (YAML). */
export function simulateDriven(scenario = '', options: SimulatorOptions = {}): Promise<Simulator> {
  return simulate({ speed: 0, seed: 7, scenario: readScenario(scenario), ...options });
}

/** The journal's entries, of one kind if need be. */
export function journalOf(simulator: Simulator, kind?: string): Record<string, unknown>[] {
  const lines = simulator.journal().split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line)).filter((entry) => kind === undefined || entry.kind === kind);
}

/** Asks the control plane; `body` makes it a POST. */
export async function control({ baseUrl }: Simulator, path: string, body?: string) {
  const init = body === undefined ? {} : { method: 'POST', body };
  const response = await fetch(`${baseUrl}/_simulator/${path}`, init);
  return { status: response.status, json: JSON.parse(await response.text()) };
}

/** The official client, talking to the simulator instead of to api.twilio.com. */
export function officialClient({ baseUrl, accountSid, authToken }: Simulator, user = accountSid, password = authToken) {
  const httpClient = new twilio.RequestClient();
  const send = httpClient.request.bind(httpClient);
  httpClient.request = (options) => send({ ...options, uri: options.uri.replace('https://api.twilio.com', baseUrl) });
  return twilio(user, password, { accountSid, httpClient });
}

export const sender = '+447700900001';
export const receiver = '+447700900123';

export type Answer = { status: number; headers: Headers; json: Record<string, unknown> };

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

type Init = RequestInit & { form?: Record<string, string> | URLSearchParams };

/** A bare request below the account's path, for what the official client would not let through. */
export async function call(simulator: Simulator, path: string, init: Init = {}): Promise<Answer> {
  const response = await ask(simulator, path, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: text === '' ? null : JSON.parse(text) };
}

/** The same, with the answer as it arrives. */
export function ask(
  { baseUrl, accountSid, authToken }: Simulator,
  path: string,
  { form, ...init }: Init = {},
): Promise<Response> {
  return fetch(`${baseUrl}/2010-04-01/Accounts/${accountSid}${path}`, {
    ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    ...init,
    headers: { authorization: basic(accountSid, authToken), ...init.headers },
  });
}

/** Creates a message that is fine but for what the test changes; `undefined` leaves a field out. */
export function create(simulator: Simulator, changes: Changes = {}): Promise<Answer> {
  return call(simulator, '/Messages.json', { form: fine(changes) });
}

type Changes = Record<string, string | undefined>;

/** The form of a create that is fine but for these changes. */
export function fine(changes: Changes = {}): Record<string, string> {
  const fields = Object.entries({ To: receiver, From: sender, Body: 'Hello', ...changes });
  return Object.fromEntries(fields.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

type Received = {
  url: string;
  headers: Record<string, string | string[] | undefined>;
  form: Record<string, string>;
};

export type Receiver = { url: string; received: Received[] };

/** A server that receives callbacks and answers each with what `answer` says; `'never'` lets the caller wait. */
export async function receiveCallbacks(answer: (n: number) => number | 'never' | 'cut' = () => 204): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      const form = Object.fromEntries(new URLSearchParams(body));
      const n = received.push({ url: request.url ?? '', headers: request.headers, form });
      const reply = answer(n);
      if (reply === 'cut') request.socket.destroy();
      else if (reply !== 'never') response.writeHead(reply).end();
    });
  });
  const port = await listen(server);
  started.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${port}/callback`, received };
}

/** A port on which nobody listens: one that was just given back. */
export async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
