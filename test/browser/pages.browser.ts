import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKey } from '../support/keys.ts';
import { eventually, type TestService } from '../support/service.ts';
import { seedPast } from './seed.ts';
import { type Operator, openBrowser, openPage, signedIn, startConsoleService } from './support.ts';

/** Every page, narrow and wide, in the light and in the dark: nothing sticks out, and an accessibility engine finds no fault. */

const widths = [360, 768, 1440] as const;
const schemes = ['light', 'dark'] as const;
const axe = createRequire(import.meta.url).resolve('axe-core');
/** `make screenshots` names a folder; what is seen is kept there. */
const kept = process.env.SCREENSHOTS;

let browser: Browser;
let service: TestService;
let pages: readonly { name: string; path: string; ready: string }[];

beforeAll(async () => {
  browser = await openBrowser();
  service = await startConsoleService();
  await seedPast(service.query, { messages: 12_000 });
  const uuid = await liveThrough();
  pages = [
    { name: 'today', path: '/console/', ready: 'Messages a day' },
    { name: 'messages', path: '/console/messages', ready: 'Newest first' },
    { name: 'none-found', path: '/console/messages?code=99999', ready: 'Newest first' },
    { name: 'message', path: `/console/messages/${uuid}`, ready: 'What happened' },
    { name: 'errors', path: '/console/errors', ready: 'By code' },
    { name: 'error', path: '/console/errors/30003', ready: 'Whom it hits' },
    { name: 'privacy', path: '/console/privacy', ready: 'Statement for' },
    { name: 'no-such-message', path: '/console/messages/nothing', ready: 'There is no such message' },
    { name: 'no-such-page', path: '/console/elsewhere', ready: 'There is no such page' },
  ];
});
afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

/** Some texts of today, with their whole history; the uuid of one that failed. */
async function liveThrough(): Promise<string> {
  const { bearer } = await createKey(service.databaseUrl);
  const headers = { 'x-trustomer': 'OUH', 'x-product': 'GDM', ...bearer };
  const fates = ['123', '990', '994', '124', '996', '125'];
  let failed = '';
  for (const [n, fate] of fates.entries()) {
    const answer = await service.post(
      {
        sender: '+447700900001',
        receiver: `+447700900${fate}`,
        content: `Your appointment is on Monday at ${9 + n}:00.`,
      },
      headers,
    );
    if (fate === '990') failed = answer.json.uuid;
  }
  await eventually(async () => {
    const rows = await service.query<{ status: string }>('SELECT status FROM message WHERE uuid = $1', [failed]);
    return rows[0]?.status === 'undelivered';
  }, 20_000);
  return failed;
}

async function faultsOf(page: Page): Promise<string[]> {
  await page.addScriptTag({ path: axe }).catch(() => {});
  const results = await page.evaluate(async () => {
    const { violations } = await (
      globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }
    ).axe.run();
    type Violation = { id: string; help: string; nodes: { html: string; failureSummary: string }[] };
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
  });
  return results;
}

async function keep(page: Page, name: string): Promise<void> {
  if (kept === undefined) return;
  await mkdir(kept, { recursive: true });
  await page.screenshot({ path: path.join(kept, `${name}.png`), fullPage: true });
}

async function lookAt({ page, complaints }: Operator, name: string): Promise<void> {
  const tooWide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  expect.soft(tooWide, `${name} sticks out by so many pixels`).toBeLessThanOrEqual(0);
  await keep(page, name);
  expect.soft(await faultsOf(page), name).toEqual([]);
  expect.soft(complaints, name).toEqual([]);
}

describe.each(schemes)('in the %s', (colorScheme) => {
  test.each(widths)('every page at %d px', async (width) => {
    const context = { viewport: { width, height: 900 }, colorScheme, bypassCSP: true };
    const operator = await signedIn(browser, service, { context });
    for (const { name, path: at, ready } of pages) {
      await operator.visit(at);
      await operator.page.getByRole('heading', { name: ready }).first().waitFor();
      await operator.page.waitForLoadState('networkidle');
      await lookAt(operator, `${name}-${width}-${colorScheme}`);
    }
    await operator.page.context().close();
  });

  test('the sign-in page', async () => {
    const operator = await openPage(browser, service, {
      viewport: { width: 360, height: 800 },
      colorScheme,
      bypassCSP: true,
    });
    await operator.visit('/console/');
    await operator.page.getByLabel('API key').fill('polaris_wrong');
    await operator.page.getByRole('button', { name: 'Sign in' }).click();
    await operator.page.getByRole('alert').waitFor();
    await lookAt(operator, `sign-in-360-${colorScheme}`);
    await operator.page.context().close();
  });
});
