import path from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { type Scope, scopes } from '../../src/tenant/caller.ts';
import { createKey } from '../support/keys.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** The console as an operator has it: built, served by the service, in Debian's Chromium. */
export const consoleFolder = path.resolve(import.meta.dirname, '../../dist/console');
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath });
}

export type Operator = {
  readonly service: TestService;
  readonly page: Page;
  /** What the page said that it should not have: errors, refused resources, requests to elsewhere. */
  readonly complaints: string[];
  /** At a page of the console. */
  visit(path: string): Promise<void>;
};

export async function startConsoleService(env: Record<string, string> = {}, speed = 20): Promise<TestService> {
  return startTestService({ AUTH_MODE: 'apikey', ...env }, { speed, consoleFolder });
}

/** Somebody with a key, signed in with it. */
export async function signedIn(
  browser: Browser,
  service: TestService,
  options: { scopes?: readonly Scope[]; tenant?: { trustomerCode: string; productName: string } | null } & {
    context?: BrowserContextOptions;
  } = {},
): Promise<Operator> {
  const { text } = await createKey(service.databaseUrl, {
    name: 'night shift',
    scopes: options.scopes ?? scopes,
    tenant: options.tenant ?? null,
  });
  const operator = await openPage(browser, service, options.context);
  await operator.visit('/console/');
  await operator.page.getByLabel('API key').fill(text);
  await operator.page.getByRole('button', { name: 'Sign in' }).click();
  await operator.page.getByRole('heading', { level: 1, name: 'Today' }).waitFor();
  return operator;
}

export async function openPage(
  browser: Browser,
  service: TestService,
  options?: BrowserContextOptions,
): Promise<Operator> {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/London', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A refused request has its own words on the page.
    if (message.type() === 'error' && !/status of [45]\d\d/.test(message.text())) complaints.push(message.text());
  });
  page.on('request', (request) => {
    const isOurs = request.url().startsWith(service.baseUrl) || /^(blob|data):/.test(request.url());
    if (!isOurs) complaints.push(`asked elsewhere: ${request.url()}`);
  });
  return {
    service,
    page,
    complaints,
    visit: async (to) => {
      await page.goto(service.baseUrl + to);
    },
  };
}
