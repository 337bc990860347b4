/** The page of a run that follows its source: how far the cluster is behind. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Application, startApplication } from '../../support/application.js';
import { startBrowser, type TestBrowser } from '../../support/browser.js';
import { followingRuns } from '../../support/following.js';
import { setStage } from '../../support/stage.js';
import { withTools } from '../../support/tools.js';

withTools(['chromium'], 'the page of a run with --follow', ({ chromium }) => {
  const stage = setStage();
  const runs = followingRuns();
  let browser: TestBrowser;
  let application: Application | undefined;
  beforeAll(async () => {
    browser = await startBrowser(chromium);
  });
  afterAll(() => browser.stop());
  afterEach(async () => {
    await application?.stop();
    await stage.source.client.config('SET', 'min-replicas-to-write', 0);
  });

  it('draws the lag, and tells what a cutover would cost', async () => {
    application = startApplication(stage.source);
    const run = runs.start(stage.endpoints, '--metrics', '0', '--metrics-linger', '600');
    const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
    const page = await browser.context.newPage();
    await page.goto(url);
    await page.locator('#left', { hasText: 'a cutover would hold writes for about' }).waitFor();
    await page.locator('#follow canvas').waitFor();
    const width = await page.evaluate('document.querySelector("#follow canvas").clientWidth');
    expect(Number(width)).toBeGreaterThan(200);
    const legend = page.locator('#follow .u-legend');
    await legend.filter({ hasText: /lag.*\d ms/s }).waitFor();
    await legend.filter({ hasText: /changed keys that wait.*\d keys/s }).waitFor();
    expect((await runs.ctl('cutover')).code).toBe(0);
    await page.locator('#numbers', { hasText: 'cut-over' }).waitFor();
    await page.locator('#numbers', { hasText: /writes were held\s*\d+ ms/ }).waitFor();
    await page.locator('#events td', { hasText: 'cut-over' }).waitFor();
    await page.close();
  });
});
