import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKey } from '../support/keys.ts';
import { eventually, type TestService } from '../support/service.ts';
import { type Operator, openBrowser, signedIn, startConsoleService } from './support.ts';

/** An operator's day, as one has it: by looking, by typing, and once by keyboard alone. */

let browser: Browser;
let service: TestService;
let headers: Record<string, string>;

beforeAll(async () => {
  browser = await openBrowser();
  service = await startConsoleService();
  const { bearer } = await createKey(service.databaseUrl, { name: 'clinic backend' });
  headers = { 'x-trustomer': 'OUH', 'x-product': 'GDM', ...bearer };
});
afterAll(async () => {
  await browser?.close();
  await service?.stop();
});

async function send(receiver: string, content: string): Promise<string> {
  const answer = await service.post({ sender: '+447700900001', receiver, content }, headers);
  expect(answer.status).toBe(200);
  return answer.json.uuid;
}

function statusIs(uuid: string, status: string): Promise<unknown> {
  return eventually(async () => {
    const rows = await service.query<{ status: string }>('SELECT status FROM message WHERE uuid = $1', [uuid]);
    return rows[0]?.status === status;
  }, 20_000);
}

/** What the simulator does with callbacks from now on. */
async function loseCallbacks(isLost: boolean): Promise<void> {
  const scenario = isLost ? 'rules:\n  - on: callback\n    do: { lose: true }\n' : 'rules: []\n';
  const answer = await fetch(`${service.simulator?.baseUrl}/_simulator/scenario`, { method: 'POST', body: scenario });
  expect(answer.status).toBeLessThan(300);
}

const onlyOurs = ({ complaints }: Operator) => expect(complaints).toEqual([]);
const heading = (page: Page, name: string | RegExp) => page.getByRole('heading', { name }).first();

describe("an operator's day", () => {
  test('a text that failed is found by its number in any spelling, its reason read, and sent again', async () => {
    const uuid = await send('+447700900990', 'Your blood test is on Tuesday at 10:00.');
    await statusIs(uuid, 'undelivered');
    const operator = await signedIn(browser, service);
    const { page } = operator;
    await page.getByRole('link', { name: 'Messages', exact: true }).click();
    await page.getByLabel('Find a message').fill('07700 900 990');
    await page.getByRole('button', { name: 'Find', exact: true }).click();
    await page.waitForURL(/find=/);
    expect(page.url()).not.toMatch(/7700|900990/);
    await page
      .getByRole('row', { name: /undelivered/ })
      .getByRole('link')
      .last()
      .click();

    await heading(page, 'What happened').waitFor();
    const why = page.getByRole('region', { name: 'Why' });
    await expect.poll(() => why.innerText()).toMatch(/undelivered/);
    expect(await why.innerText()).toMatch(/30003/);
    expect(await why.innerText()).toMatch(/What to do/);
    expect(await page.locator('main').innerText()).not.toMatch(/blood test|7700900990/);

    await page.getByRole('button', { name: 'Reveal text and number' }).click();
    await page.getByText('Your blood test is on Tuesday at 10:00.').waitFor();
    await page.getByRole('button', { name: 'Cover them again' }).click();
    await page.getByText('Your blood test is on Tuesday at 10:00.').waitFor({ state: 'detached' });
    const reads = await service.query("SELECT actor_name FROM audit WHERE action = 'read' AND message_uuid = $1", [
      uuid,
    ]);
    expect(reads).toEqual([{ actor_name: 'night shift' }]);

    await page.getByRole('button', { name: 'Send again' }).click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.innerText()).toMatch(/twice|again/i);
    await dialog.getByRole('button', { name: 'Send a new message' }).click();
    await page.waitForURL((url) => /messages\/[\w-]{36}/.test(url.pathname) && !url.pathname.includes(uuid));
    const rows = await service.query<{ uuid: string; content: string }>(
      "SELECT uuid, content FROM message WHERE receiver = '+447700900990'",
    );
    expect(rows).toHaveLength(2);
    expect(new Set(rows.map(({ content }) => content)).size).toBe(1);
    onlyOurs(operator);
    await page.context().close();
  });

  test('a callback that never came is healed by a look at Twilio', async () => {
    const uuid = await send('+447700900124', 'Your scan is on Wednesday at 9:30.');
    await statusIs(uuid, 'delivered');
    // As if no callback had ever come: what Twilio knows, this service does not.
    await service.query(
      "UPDATE message SET status = 'queued', ended = NULL, redacted = NULL, step = 'poll', due = now() + interval '1 hour' WHERE uuid = $1",
      [uuid],
    );
    const operator = await signedIn(browser, service);
    const { page } = operator;
    await operator.visit(`/console/messages/${uuid}`);
    await heading(page, 'What happened').waitFor();
    const why = page.getByRole('region', { name: 'Why' });
    expect(await why.innerText()).toMatch(/queued/);
    await page.getByRole('button', { name: 'Look at Twilio now' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Look now' }).click();
    await page.getByText('Twilio says delivered: that is news.').waitFor();
    await expect.poll(() => why.innerText(), { timeout: 10_000 }).toMatch(/delivered/);
    onlyOurs(operator);
    await page.context().close();
  });

  test('an outage of callbacks is seen on the first page, and healed for all messages there', async () => {
    await loseCallbacks(true);
    const uuids = await Promise.all(
      [1, 2, 3].map((n) => send('+447700900125', `Your visit number ${n} is on Friday.`)),
    );
    // A while ago, as the service sees it: time cannot be made to pass in a browser.
    await service.query(
      `UPDATE message SET created = created - interval '25 minutes', handed_over = handed_over - interval '25 minutes',
         due = due + interval '1 hour' WHERE uuid = ANY($1)`,
      [uuids],
    );
    await service.query("UPDATE callback SET received = received - interval '40 minutes'");
    const operator = await signedIn(browser, service);
    const { page } = operator;
    const callbacks = page.getByRole('listitem').filter({ hasText: 'Twilio’s callbacks' });
    await expect.poll(() => callbacks.innerText(), { timeout: 15_000 }).toMatch(/failing/);
    await page.getByRole('button', { name: 'Look at Twilio now' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Look now' }).click();
    await page.getByText(/Twilio was asked about/).waitFor();
    for (const uuid of uuids) await statusIs(uuid, 'delivered');
    // The messages are healed; callbacks are, once one comes.
    await loseCallbacks(false);
    await statusIs(await send('+447700900126', 'Your next visit is on Monday.'), 'delivered');
    await expect.poll(() => callbacks.innerText(), { timeout: 15_000 }).not.toMatch(/failing/);
    onlyOurs(operator);
    await page.context().close();
  });

  test("a month's privacy statement is printed as it stands", async () => {
    const operator = await signedIn(browser, service);
    const { page } = operator;
    await page.getByRole('link', { name: 'Privacy' }).click();
    await heading(page, /^Statement for/).waitFor();
    await page.emulateMedia({ media: 'print' });
    await expect.poll(() => page.getByRole('button', { name: 'Print the statement' }).isVisible()).toBe(false);
    expect(await page.getByRole('navigation', { name: 'Pages' }).isVisible()).toBe(false);
    const words = await page.getByRole('region', { name: /^Statement for/ }).innerText();
    expect(words).toMatch(/emptied at Twilio/);
    const pdf = await page.pdf({ format: 'A4' });
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    expect(pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)).toHaveLength(1);
    onlyOurs(operator);
    await page.context().close();
  });

  test('by keyboard alone: sign in, find a message, read why, and close a question with Escape', async () => {
    const uuid = await send('+447700900991', 'Your clinic has moved.');
    await statusIs(uuid, 'undelivered');
    const { text } = await createKey(service.databaseUrl, { name: 'night shift' });
    const context = await browser.newContext({ locale: 'en-GB' });
    const page = await context.newPage();
    await page.goto(`${service.baseUrl}/console/messages`);
    await page.getByLabel('API key').waitFor();
    const focused = () =>
      page.evaluate<string>(
        "(document.activeElement.labels?.[0]?.innerText || document.activeElement.innerText || '').trim()",
      );
    async function tabTo(name: RegExp): Promise<void> {
      for (let presses = 0; presses < 60; presses += 1) {
        if (name.test(await focused())) return;
        await page.keyboard.press('Tab');
      }
      throw new Error(`sixty times Tab, and never at ${name}`);
    }
    await tabTo(/API key/);
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
    await heading(page, 'Messages').waitFor();
    await page.keyboard.press('Tab');
    await tabTo(/Find a message/);
    await page.keyboard.type(uuid);
    await page.keyboard.press('Enter');
    await page.waitForURL(/find=/);
    await page.getByRole('row', { name: /undelivered/ }).waitFor();
    await tabTo(new RegExp(`^${uuid.slice(0, 8)}`));
    await page.keyboard.press('Enter');
    await heading(page, 'What happened').waitFor();
    expect(await page.getByRole('region', { name: 'Why' }).innerText()).toMatch(/30005/);
    await tabTo(/^Delete$/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await service.query('SELECT 1 FROM message WHERE uuid = $1 AND deleted IS NULL', [uuid])).toHaveLength(1);
    await context.close();
  });
});
