import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'vitest';
import { createKey } from '../support/keys.ts';
import { eventually } from '../support/service.ts';
import { seedPast } from './seed.ts';
import { openBrowser, signedIn, startConsoleService } from './support.ts';

/** The README's pictures, from a seeded run: only where `make screenshots` asks for them. */
const folder = process.env.SCREENSHOTS;

test.runIf(folder !== undefined)('three pictures', async () => {
  const browser = await openBrowser();
  const service = await startConsoleService({}, 4);
  await seedPast(service.query, { messages: 16_000 });
  const { bearer } = await createKey(service.databaseUrl, { name: 'clinic backend' });
  const text = {
    sender: '+447700900001',
    receiver: '+447700900990',
    content: 'Your appointment is on Monday at 10:00.',
  };
  const sent = await service.post(text, { 'x-trustomer': 'OUH', 'x-product': 'GDM', ...bearer });
  await eventually(async () => {
    const rows = await service.query('SELECT 1 FROM message WHERE uuid = $1 AND redacted IS NOT NULL', [
      sent.json.uuid,
    ]);
    return rows.length === 1;
  }, 30_000);

  const { page, visit } = await signedIn(browser, service, { context: { viewport: { width: 1120, height: 860 } } });
  await mkdir(folder ?? '', { recursive: true });
  for (const [name, at, ready] of [
    ['today', '/console/', 'From Twilio'],
    ['message', `/console/messages/${sent.json.uuid}`, 'What happened'],
    ['errors', '/console/errors', 'By code'],
  ] as const) {
    await visit(at);
    await page.getByRole('heading', { name: ready }).first().waitFor();
    await page.waitForLoadState('networkidle');
    await page.screenshot({ path: path.join(folder ?? '', `${name}.png`) });
  }
  await browser.close();
  await service.stop();
});
