import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKey } from '../support/keys.ts';
import { startProxy } from '../support/proxy.ts';
import { freshText, type TestService } from '../support/service.ts';
import { openBrowser, signedIn, startConsoleService } from './support.ts';

/** What comes from outside is shown safely and plainly, and a fault never looks like an empty list. */

let browser: Browser;
let service: TestService;
let headers: Record<string, string>;

beforeAll(async () => {
  browser = await openBrowser();
  service = await startConsoleService();
  const { bearer } = await createKey(service.databaseUrl);
  headers = { 'x-trustomer': 'OUH', 'x-product': 'GDM', ...bearer };
});
afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

const hostile: readonly [string, string][] = [
  ['HTML', '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script><b>bold</b>'],
  ['a text that turns the line round', '\u202Eright to left\u202C and \u2067back\u2069 العربية'],
  ['characters without width', 'a\u200B\u200C\u200D\u2060\uFEFFb'],
  ['the most emoji there is room for', '👩‍👩‍👧‍👦'.repeat(145)],
  ['one word without an end', 'x'.repeat(1_600)],
];

test.each(hostile)('%s as a text is shown as it is', async (_what, content) => {
  const sent = await service.post({ ...freshText(), content }, headers);
  expect(sent.status).toBe(200);
  const { page, visit, complaints } = await signedIn(browser, service, {
    context: { viewport: { width: 360, height: 800 } },
  });
  await visit(`/console/messages/${sent.json.uuid}`);
  await page.getByRole('button', { name: 'Reveal text and number' }).click();
  await page.getByRole('button', { name: 'Cover them again' }).waitFor();
  expect(await page.locator('.reveal .text .foreign').textContent()).toBe(content);
  expect(await page.title()).not.toBe('owned');
  const tooWide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  expect(tooWide).toBeLessThanOrEqual(0);
  expect(complaints).toEqual([]);
  await page.context().close();
});

test('an address that is none of the console says so, and so does a message that is not there', async () => {
  const { page, visit } = await signedIn(browser, service);
  await visit('/console/%3Cscript%3E');
  await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
  await visit('/console/messages/%3Cscript%3Ealert(1)%3C%2Fscript%3E');
  await page.getByRole('heading', { name: 'There is no such message' }).waitFor();
  await visit('/console/messages?cursor=nonsense&from=nonsense');
  await page.getByRole('alert').waitFor();
  await page.context().close();
});

test('what was typed and is nothing to find is said beside the field, and changes nothing', async () => {
  const { page, visit } = await signedIn(browser, service);
  await visit('/console/messages');
  const before = page.url();
  await page.getByLabel('Find a message').fill('<b>Mrs Nobody</b>');
  await page.getByRole('button', { name: 'Find', exact: true }).click();
  await page.getByRole('alert').waitFor();
  expect(page.url()).toBe(before);
  await page.context().close();
});

test('a session that ends in the middle leads to the key, and back to the same page', async () => {
  const { page, visit } = await signedIn(browser, service);
  await visit('/console/errors/30003');
  await page.getByRole('heading', { name: 'Error 30003' }).waitFor();
  await page.context().clearCookies();
  await page.reload();
  const { text } = await createKey(service.databaseUrl);
  await page.getByLabel('API key').fill(text);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Error 30003' }).waitFor();
  await page.context().close();
});

test('a database that is away is a fault in words, and what was seen stays with its time; then it heals', async () => {
  const proxy = await startProxy(service.databaseUrl);
  const behind = await startConsoleService({ DATABASE_URL: proxy.url });
  const { page, visit } = await signedIn(browser, behind);
  await visit('/console/messages');
  await page.getByRole('table').waitFor();
  proxy.cut();
  await page.getByRole('alert').first().waitFor({ timeout: 20_000 });
  expect(await page.getByRole('alert').first().innerText()).toMatch(/Could not read the messages.*What you see is of/s);
  expect(await page.getByRole('table').isVisible()).toBe(true);
  proxy.open();
  await page.getByRole('alert').first().waitFor({ state: 'detached', timeout: 20_000 });
  await page.context().close();
  await behind.stop();
  await proxy.close();
});

test('a service that is gone is said to be unreachable', async () => {
  const gone = await startConsoleService();
  const { page, visit } = await signedIn(browser, gone);
  await visit('/console/messages');
  await page.getByText('No message fits this').waitFor();
  await gone.stop();
  await page.getByText('The service cannot be reached.').first().waitFor({ timeout: 20_000 });
  await page.context().close();
});

test('a page that nobody sees asks nothing', async () => {
  const { page, visit } = await signedIn(browser, service);
  await visit('/console/messages');
  await page.getByRole('table').waitFor();
  await page.evaluate(`
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  `);
  let asked = 0;
  page.on('request', () => {
    asked += 1;
  });
  // Longer than the page waits between two askings; there is nothing to be told of that does not come.
  await page.waitForTimeout(6_500);
  expect(asked).toBe(0);
  await page.evaluate(`
    delete document.visibilityState;
    document.dispatchEvent(new Event('visibilitychange'));
  `);
  await expect.poll(() => asked).toBeGreaterThan(0);
  await page.context().close();
});
