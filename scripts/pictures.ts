/**
 * `npm run pictures`: the pictures in docs/, taken of real runs. Needs Chromium and tmux. With names of pictures
 * (`-- assess`) it takes only these.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import type { Page } from 'playwright-core';
import { startApplication } from '../test/support/application.js';
import { startBrowser } from '../test/support/browser.js';
import { fillMixed, fillStrings } from '../test/support/bulk.js';
import { program, runCli, startCli } from '../test/support/cli.js';
import { startCluster, type TestCluster } from '../test/support/cluster.js';
import { type Server, startServer } from '../test/support/servers.js';
import { waitFor } from '../test/support/wait.js';
import { findTool } from './find-tools.mjs';
import { screenToSvg } from './screen-to-svg.js';

const docs = fileURLToPath(new URL('../docs/', import.meta.url));
const port = 9121;
const url = `http://127.0.0.1:${String(port)}`;
const width = 1100;

interface Stage {
  readonly source: Server;
  readonly cluster: TestCluster;
  readonly page: Page;
  /** For what a run leaves behind. */
  readonly folder: string;
}

/** Each takes what its name says. */
const pictures: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  run: takeRun,
  assess: takeAssess,
  cutover: takeCutover,
};

const chromium = findTool('chromium');
if (chromium === undefined) throw new Error('there is no Chromium: npm run setup:tools');
const browser = await startBrowser(chromium);
const names = process.argv.slice(2);
try {
  for (const [name, take] of Object.entries(pictures)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const folder = mkdtempSync(join(tmpdir(), 'cluster-import-pictures-'));
    const [source, cluster] = await Promise.all([startServer(), startCluster()]);
    const page = await browser.context.newPage();
    await page.setViewportSize({ width, height: 830 });
    try {
      await take({ source, cluster, page, folder });
    } finally {
      await page.close();
      await Promise.all([source.stop(), cluster.stop()]);
      rmSync(folder, { recursive: true });
    }
  }
} finally {
  await browser.stop();
}

/** An import midway: its view on a terminal, and its page. */
async function takeRun({ source, cluster, page }: Stage): Promise<void> {
  await fillStrings(source, { count: 2_500_000, valueBytes: 64 });
  for (const key of ['user:1042:session', 'cart:77', '<img src=x onerror=alert(1)>']) {
    await source.client.set(key, 'here');
    await cluster.clientFor(key).set(key, 'there');
  }
  for (const { client } of cluster.masters) await client.config('SET', 'maxmemory', '512mb');
  const session = `cluster-import-pictures-${String(process.pid)}`;
  const tmux = (...words: readonly string[]): string =>
    execFileSync('tmux', words, { encoding: 'utf8' });
  const words = [
    ...['--from', source.address, '--to', cluster.seed, '--no-replace', '--mover', 'relay'],
    ...['--log-level', 'error', '--metrics', String(port), '--metrics-linger', '60'],
  ];
  tmux('new-session', '-d', '-s', session, '-x', '96', '-y', '22', 'sh');
  try {
    tmux('send-keys', '-t', session, `clear; ${process.execPath} ${program} ${words.join(' ')}`);
    tmux('send-keys', '-t', session, 'Enter');
    await waitFor('the page', () => page.goto(url));
    const percent = async (): Promise<number> =>
      Number.parseFloat(await page.locator('#percent').innerText());
    await waitFor('two thirds of the run', async () => (await percent()) > 66, {
      timeoutMs: 300_000,
    });
    const text = tmux('capture-pane', '-t', session, '-p', '-e');
    writeFileSync(`${docs}terminal.svg`, screenToSvg(text, 96));
    await page.screenshot({ path: `${docs}page.png`, fullPage: true });
  } finally {
    tmux('kill-session', '-t', session);
  }
}

/** The page of an assessment of an application that has to be changed. */
async function takeAssess({ source, cluster, page, folder }: Stage): Promise<void> {
  const { host, port: at, client } = source;
  await fillMixed(source, 200_000);
  await client.config('RESETSTAT');
  const open = (name: string): Redis => new Redis({ host, port: at, connectionName: name });
  const [web, other, jobs] = [open('web'), open('web'), open('jobs')];
  const file = join(folder, 'assessment.html');
  const words = ['--from', source.address, '--to', cluster.seed, '--watch', '1h', '--html', file];
  const run = startCli(['assess', ...words, '--watch-latency', '1h']);
  try {
    await waitFor('MONITOR', async () => /cmd=monitor/.test(String(await client.client('LIST'))));
    for (let nth = 0; nth < 400; nth++) {
      const id = String(nth);
      await web.mget(`product:${id}`, `product:${String(nth + 1)}`);
      await other.sinter(`user:${id}:follows`, `user:${id}:followers`);
      await other.mget(`{cart:${id}}:items`, `{cart:${id}}:total`);
      if (nth % 10 === 0) await jobs.multi().incr('jobs:done').lpush(`jobs:log:${id}`, 1).exec();
    }
    await waitFor('all to be seen', async () =>
      / omem=0 [^\n]*cmd=monitor/.test(String(await client.client('LIST'))),
    );
  } finally {
    run.signal('SIGINT');
    await run.done;
    for (const one of [web, other, jobs]) one.disconnect();
  }
  await page.goto(`file://${file}`);
  const last = await page.locator('section', { hasText: 'Keys by type' }).boundingBox();
  await page.screenshot({
    path: `${docs}assess.png`,
    fullPage: true,
    clip: { x: 0, y: 0, width, height: Math.ceil((last?.y ?? 0) + (last?.height ?? 0)) + 16 },
  });
}

/** A run with --follow, just behind its cutover. */
async function takeCutover({ source, cluster, page, folder }: Stage): Promise<void> {
  const env = { XDG_RUNTIME_DIR: folder };
  const status = async (): Promise<string> =>
    (await runCli(['ctl', 'status', '--json'], env)).stdout;
  await fillMixed(source, 300_000);
  const application = startApplication(source);
  const run = startCli(
    [
      ...['--from', source.address, '--to', cluster.seed, '--follow'],
      ...['--metrics', String(port), '--metrics-linger', '600'],
    ],
    env,
  );
  try {
    await waitFor('the page', () => page.goto(url));
    await waitFor('the cluster to follow', async () => (await status()).includes('"following"'), {
      timeoutMs: 300_000,
    });
    // So that the lag can be seen to stay as it is.
    await delay(15_000);
    await runCli(['ctl', 'cutover'], env);
    await page.locator('#numbers', { hasText: 'cut-over' }).waitFor();
    await delay(1500);
    await page.screenshot({ path: `${docs}cutover.png`, fullPage: true });
  } finally {
    await application.stop();
    run.signal('SIGINT');
    await run.done;
  }
}
