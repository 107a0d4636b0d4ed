import type { Browser, BrowserContext, Page } from 'playwright-core';

/** Visits of the console as somebody who comes for the first time: what a page asks for, and how long it keeps the browser busy. */

/** A session, as its cookie. */
export async function signInWith(baseUrl: string, key: string): Promise<string> {
  const answer = await fetch(`${baseUrl}/dhos/v1/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-polaris-console': '1' },
    body: JSON.stringify({ key }),
  });
  const [, session] = /polaris_session=([^;]+)/.exec(answer.headers.get('set-cookie') ?? '') ?? [];
  if (session === undefined) throw new Error(`signing in was answered ${answer.status}`);
  return session;
}

export type Visit = {
  readonly page: Page;
  /** Addresses that were asked for until now. */
  readonly asked: readonly string[];
  /** From the visit on; 0: none was longer than 50 ms, from where on the browser tells of one. */
  longestTaskMs(): Promise<number>;
  end(): Promise<void>;
};

/** A browser without anything of ours but the session. Nothing is asked before `go`. */
export async function startVisit(
  browser: Browser,
  { baseUrl, session }: { readonly baseUrl: string; readonly session: string },
): Promise<Visit> {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 900 } });
  await context.addCookies([
    { name: 'polaris_session', value: session, url: baseUrl, httpOnly: true, sameSite: 'Strict' },
  ]);
  await watchTasks(context);
  const page = await context.newPage();
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  return {
    page,
    asked,
    longestTaskMs: () => page.evaluate<number>('Math.max(0, ...globalThis.longTasks)'),
    end: () => context.close(),
  };
}

async function watchTasks(context: BrowserContext): Promise<void> {
  await context.addInitScript(`
    globalThis.longTasks = [];
    new PerformanceObserver((list) => globalThis.longTasks.push(...list.getEntries().map(({ duration }) => duration)))
      .observe({ type: 'longtask', buffered: true });
  `);
}

/** The first page with all its figures: the funnel, both charts and the checks. Milliseconds since it was asked for. */
export async function seeFirstPage({ page }: Visit, baseUrl: string): Promise<number> {
  const began = performance.now();
  await page.goto(`${baseUrl}/console/`, { waitUntil: 'commit' });
  await Promise.all([
    page.getByRole('heading', { name: 'Messages a day' }).waitFor(),
    page.getByRole('region', { name: 'Messages so far today' }).getByText('Accepted').waitFor(),
    page.getByRole('region', { name: 'Messages a day' }).getByRole('img').waitFor(),
    page.getByRole('region', { name: 'From Twilio' }).getByRole('img').waitFor(),
    page.getByRole('region', { name: 'Health' }).getByRole('listitem').first().waitFor(),
  ]);
  return performance.now() - began;
}
