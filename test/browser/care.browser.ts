import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKey } from '../support/keys.ts';
import { eventually, type TestService } from '../support/service.ts';
import { seedPast } from './seed.ts';
import { openBrowser, signedIn, startConsoleService } from './support.ts';

/** What a tired operator, a keyboard, a screen reader and high contrast rely upon. */

let browser: Browser;
let service: TestService;
let failed: string;

beforeAll(async () => {
  browser = await openBrowser();
  service = await startConsoleService();
  await seedPast(service.query, { messages: 500 });
  const { bearer } = await createKey(service.databaseUrl, { name: 'clinic backend' });
  const text = { sender: '+447700900001', receiver: '+447700900990', content: 'Your visit is on Monday.' };
  failed = (await service.post(text, { 'x-trustomer': 'OUH', 'x-product': 'GDM', ...bearer })).json.uuid;
  await eventually(async () => {
    const rows = await service.query('SELECT 1 FROM message WHERE uuid = $1 AND redacted IS NOT NULL', [failed]);
    return rows.length === 1;
  }, 20_000);
});
afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

/** A page that comes to be seen again asks at once; by the second answer, the first one has been shown. */
async function askAgain(page: Page, what: RegExp): Promise<void> {
  for (let times = 0; times < 2; times += 1) {
    const answer = page.waitForResponse(what);
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await answer;
  }
}
const focused = (page: Page) => page.evaluate<string>('document.activeElement.innerText');

test('a key without the scope of a page reads so once, and the service is not asked in vain', async () => {
  const reader = await signedIn(browser, service, { scopes: ['sms:read'] });
  const refused: string[] = [];
  reader.page.on('response', (response) => response.status() === 403 && refused.push(response.url()));
  for (const at of ['', 'errors', 'errors/30003', 'privacy']) {
    await reader.visit(`/console/${at}`);
    await reader.page.getByText('a key needs the scope sms:report').waitFor();
    await reader.page.waitForLoadState('networkidle');
    expect(await reader.page.getByRole('alert').count()).toBe(0);
  }
  await reader.visit('/console/messages');
  await reader.page.getByRole('table').waitFor();
  expect(refused).toEqual([]);
  await reader.page.context().close();
  const reporter = await signedIn(browser, service, { scopes: ['sms:report'] });
  await reporter.visit('/console/messages');
  await reporter.page.getByText('a key needs the scope sms:read').waitFor();
  await reporter.visit('/console/errors/30003');
  await reporter.page.getByText('To see messages, a key needs the scope sms:read.').waitFor();
  await reporter.page.context().close();
});

test('a key of one tenant sees its own, whatever tenant an address names', async () => {
  const tenant = { trustomerCode: 'ouh', productName: 'gdm' };
  const { page, visit } = await signedIn(browser, service, { tenant });
  await visit('/console/messages?tenant=tvh/gdm');
  await page.getByRole('table').waitFor();
  expect(new Set(await page.locator('td[data-name=tenant]').allInnerTexts())).toEqual(new Set(['ouh/gdm']));
  await page.context().close();
});

test('what is half typed, opened or focused stays while the page asks again', async () => {
  const { page, visit } = await signedIn(browser, service);
  await visit('/console/messages');
  await page.getByRole('table').waitFor();
  await page.getByLabel('error code').pressSequentially('300');
  await askAgain(page, /sms_search$/);
  expect(await page.getByLabel('error code').inputValue()).toBe('300');
  await page.getByLabel('error code').pressSequentially('03');
  await page.keyboard.press('Enter');
  await page.waitForURL(/code=30003/);
  await visit(`/console/messages/${failed}`);
  const summary = page.locator('summary').first();
  await summary.click();
  await askAgain(page, /events$/);
  expect(await page.locator('details[open]').count()).toBe(1);
  expect(await focused(page)).toBe(await summary.innerText());
  await page.context().close();
});

test('another page, and another part of a list, is gone on with at its heading', async () => {
  const { page } = await signedIn(browser, service);
  await page.getByRole('link', { name: 'Messages', exact: true }).click();
  await expect.poll(() => focused(page)).toBe('Messages');
  await page.getByRole('button', { name: 'Older' }).click();
  await expect.poll(() => focused(page)).toBe('Older messages');
  await page.goBack();
  await expect.poll(() => focused(page)).toBe('Newest first');
  await page.context().close();
});

test('nothing grave is done by Enter, and Escape does not hide what is under way', async () => {
  const { page, visit } = await signedIn(browser, service);
  await visit(`/console/messages/${failed}`);
  const dialog = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect.poll(() => focused(page)).toBe('Cancel');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  let answer = () => {};
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  await page.route('**/poll', (route) => held.then(() => route.abort()));
  await page.getByRole('button', { name: 'Look at Twilio now' }).click();
  await dialog.getByRole('button', { name: 'Look now' }).click();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  answer();
  await dialog.getByText('It is not known whether it was done.').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await page.context().close();
});

test('what is settled is chosen by an operator, not by the console', async () => {
  const [row] = await service.query<{ uuid: string }>("SELECT uuid FROM message WHERE status = 'sent' LIMIT 1");
  await service.query("UPDATE message SET status = 'unconfirmed', twilio_sid = NULL WHERE uuid = $1", [row?.uuid]);
  const { page, visit } = await signedIn(browser, service);
  await visit(`/console/messages/${row?.uuid}`);
  await page.getByRole('button', { name: 'Settle it' }).click();
  const dialog = page.getByRole('dialog');
  expect(await dialog.getByRole('button', { name: 'Settle it' }).isEnabled()).toBe(false);
  await dialog.getByLabel('it was not sent').check();
  expect(await dialog.getByRole('button', { name: 'It was not sent' }).isEnabled()).toBe(true);
  await page.context().close();
});

test('a deed asked for after the session has ended is said not to have been done', async () => {
  const { page, visit } = await signedIn(browser, service);
  await visit(`/console/messages/${failed}`);
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.context().clearCookies();
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.getByText('what you had just asked to be done was not done').waitFor();
  expect(await service.query('SELECT 1 FROM message WHERE uuid = $1 AND deleted IS NULL', [failed])).toHaveLength(1);
  await page.context().close();
});

test('signing out while the service is away does not look as if it had worked', async () => {
  const { page } = await signedIn(browser, service);
  await page.route('**/dhos/v1/session', (route) => route.abort());
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are still signed in').waitFor();
  await page.context().close();
});

test('with forced colours a chosen chip is not like the others', async () => {
  const { page, visit } = await signedIn(browser, service, { context: { forcedColors: 'active' } });
  await visit('/console/messages?status=sent');
  const groundOf = (chip: string) =>
    page.evaluate<string>(
      `getComputedStyle([...document.querySelectorAll('.chip')].find((one) => one.innerText === '${chip}')).backgroundColor`,
    );
  await page.getByRole('table').waitFor();
  expect(await groundOf('sent')).not.toBe(await groundOf('queued'));
  await page.context().close();
});
