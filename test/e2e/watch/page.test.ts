/** The page, in a real browser that shows a real run. */
import axe from 'axe-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type TestBrowser, startBrowser } from '../../support/browser.js';
import { fillStrings } from '../../support/bulk.js';
import { type HeldRun, holdRun } from '../../support/held-run.js';
import type { Server } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { withTools } from '../../support/tools.js';

const hostile = '<img src=x onerror=alert(1)>';

withTools(['chromium'], 'the page', ({ chromium }) => {
  const stage = setStage();
  let browser: TestBrowser;
  let held: HeldRun;
  beforeAll(async () => {
    browser = await startBrowser(chromium);
  });
  afterAll(() => browser.stop());
  beforeEach(async () => {
    await fillStrings(stage.source, { count: 20_000, valueBytes: 64 });
    for (const [client, value] of [
      [stage.source.client, 'one'],
      [stage.cluster.clientFor(hostile), 'two'],
    ] as const) {
      await client.set(hostile, value);
    }
    held = await holdRun(stage, { words: ['--no-replace', '--metrics-linger', '600'] });
  });
  afterEach(() => held.stop());

  it('shows a run from its middle to its end, with nothing from elsewhere', async () => {
    const page = await browser.context.newPage();
    const asked: string[] = [];
    const trouble: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).host));
    page.on('console', (message) => {
      if (message.type() === 'error') trouble.push(message.text());
    });
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('dialog', (dialog) => {
      trouble.push(dialog.message());
      void dialog.dismiss();
    });
    await page.goto(held.url);
    // It stands still: after some seconds it says so.
    await page.locator('#status', { hasText: /running|stalled/ }).waitFor();
    await page.locator('#nodes tr').nth(3).waitFor();
    await page.locator('.chart canvas').nth(1).waitFor();
    expect(await page.locator('#route').innerText()).toContain(stage.cluster.seed);

    held.release();
    await page.locator('#status', { hasText: 'incomplete' }).waitFor();
    // One of them is left, and everything says so.
    expect(await page.locator('#percent').innerText()).toBe('99.9 %');
    expect(await page.title()).toBe('! 99.9 % – cluster-import');
    expect(await page.locator('#left').innerText()).toBe('1 of 20,001 keys are left');
    expect(await page.locator('#ending').innerText()).toContain(
      'Accounted for: 20,001 of 20,001 keys',
    );
    expect(await page.locator('#numbers').innerText()).toContain('20,000');
    expect(await page.locator('#balance').innerText()).toContain('an even one is 33.3 %');
    const row = page.locator('#failures tr').nth(1);
    expect(await row.locator('.key').innerText()).toBe(JSON.stringify(hostile));
    expect(await row.locator('.class').innerText()).toBe('conflict');
    expect(await page.locator('img').count()).toBe(0);

    held.run.signal('SIGINT');
    expect((await held.run.done).code).toBe(1);
    await page.locator('#notice', { hasText: 'The run has ended' }).waitFor();
    expect(new Set(asked)).toEqual(new Set([new URL(held.url).host]));
    expect(trouble.filter((words) => !words.includes('ERR_CONNECTION_REFUSED'))).toEqual([]);
    await page.close();
  });

  it.each([320, 700, 1280])('fits into %d pixels, light and dark', async (width) => {
    const page = await browser.context.newPage();
    await page.setViewportSize({ width, height: 900 });
    const papers: string[] = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(held.url);
      await page.locator('.chart canvas').nth(1).waitFor();
      const scrollWidth = await page.evaluate('document.documentElement.scrollWidth');
      expect(Number(scrollWidth)).toBeLessThanOrEqual(width);
      papers.push(String(await page.evaluate('getComputedStyle(document.body).backgroundColor')));
    }
    expect(new Set(papers).size).toBe(2);
    await page.close();
  });

  it('shows at a glance that a run stalls, for which server, and that it is paused', async () => {
    const page = await browser.context.newPage();
    await page.goto(held.url);
    await page.locator('#left', { hasText: `waiting for ${held.proxy.address}/0` }).waitFor();
    expect(await page.locator('body').getAttribute('data-mood')).toBe('waiting');
    expect(await page.title()).toMatch(/^⚠ /);
    await page.locator('#events td', { hasText: 'stalled' }).waitFor();
    held.run.signal('SIGUSR2');
    await page.locator('#status', { hasText: 'paused' }).waitFor();
    expect(await page.locator('body').getAttribute('data-mood')).toBe('held');
    expect(await page.title()).toMatch(/^⏸ /);
    expect(await page.locator('#left').innerText()).toContain('cluster-import ctl resume');
    await page.close();
  });

  it('shows how full each node is, and how long it takes to answer', async () => {
    const [limited, frozen] = stage.cluster.masters as readonly Server[] as [Server, Server];
    const page = await browser.context.newPage();
    try {
      await limited.client.config('SET', 'maxmemory', '2200mb');
      await page.goto(held.url);
      const rowOf = ({ address }: Server) => page.locator('#nodes tr', { hasText: address });
      const memory = rowOf(limited).locator('.memory');
      await memory.filter({ hasText: /^\d.* MB of 2\.3 GB$/ }).waitFor();
      const label = await memory.locator('progress').getAttribute('aria-label');
      expect(label).toMatch(`memory of ${limited.address}: `);
      await rowOf(frozen).locator('.memory', { hasText: 'no limit' }).waitFor();
      await rowOf(frozen)
        .locator('td', { hasText: /^\d.* ms$/ })
        .waitFor();
      const legend = page.locator('#latency .u-legend');
      await legend.filter({ hasText: /source.*slowest node.*\d ms/s }).waitFor();
      process.kill(frozen.pid, 'SIGSTOP');
      await rowOf(frozen)
        .locator('td.bad', { hasText: /^\d\.\d s$/ })
        .waitFor();
    } finally {
      process.kill(frozen.pid, 'SIGCONT');
      await limited.client.config('SET', 'maxmemory', '0');
      await page.close();
    }
  });

  it.each([390, 1280])('has nothing that axe finds fault with, %d pixels wide', async (width) => {
    const page = await browser.context.newPage();
    await page.setViewportSize({ width, height: 900 });
    held.release();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(held.url);
      await page.locator('#failures td.key').first().waitFor();
      await page.locator('.chart canvas').nth(1).waitFor();
      await page.evaluate(axe.source);
      const found = await page.evaluate(
        'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, ...nodes.map(({ target }) => target.join(" "))]))',
      );
      expect(found).toEqual([]);
    }
    await page.close();
  });

  it('lets no script run that is not its own', async () => {
    const page = await browser.context.newPage();
    await page.goto(held.url);
    const inject = `document.body.append(Object.assign(document.createElement('script'), {
      textContent: 'document.title = "taken over"',
    }))`;
    await page.evaluate(inject);
    expect(await page.title()).not.toBe('taken over');
    await page.close();
  });
});
