/**
 * `npm run pictures`: the pictures in docs/, taken of a real run. Needs Chromium and tmux.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startBrowser } from '../test/support/browser.js';
import { fillStrings } from '../test/support/bulk.js';
import { program } from '../test/support/cli.js';
import { startCluster } from '../test/support/cluster.js';
import { startServer } from '../test/support/servers.js';
import { waitFor } from '../test/support/wait.js';
import { findTool } from './find-tools.mjs';
import { screenToSvg } from './screen-to-svg.js';

const docs = fileURLToPath(new URL('../docs/', import.meta.url));
const keyCount = 2_500_000;
const port = 9121;
const session = 'cluster-import-pictures';
const tmux = (...words: readonly string[]): string =>
  execFileSync('tmux', words, { encoding: 'utf8' });

const chromium = findTool('chromium');
if (chromium === undefined) throw new Error('there is no Chromium: npm run setup:tools');
const [source, cluster] = await Promise.all([startServer(), startCluster()]);
await fillStrings(source, { count: keyCount, valueBytes: 64 });
for (const key of ['user:1042:session', 'cart:77', '<img src=x onerror=alert(1)>']) {
  await source.client.set(key, 'here');
  await cluster.clientFor(key).set(key, 'there');
}
const words = [
  ...['--from', source.address, '--to', cluster.seed, '--no-replace', '--mover', 'relay'],
  ...['--log-level', 'error', '--metrics', String(port), '--metrics-linger', '60'],
];
tmux('new-session', '-d', '-s', session, '-x', '96', '-y', '22', 'sh');
const browser = await startBrowser(chromium);
try {
  mkdirSync(docs, { recursive: true });
  tmux('send-keys', '-t', session, `clear; ${process.execPath} ${program} ${words.join(' ')}`);
  tmux('send-keys', '-t', session, 'Enter');
  const page = await browser.context.newPage();
  await page.setViewportSize({ width: 1100, height: 830 });
  await waitFor('the page', () => page.goto(`http://127.0.0.1:${String(port)}`));
  await waitFor(
    'two thirds of the run',
    async () => {
      return Number.parseFloat(await page.locator('#percent').innerText()) > 66;
    },
    { timeoutMs: 300_000 },
  );
  const text = tmux('capture-pane', '-t', session, '-p', '-e');
  writeFileSync(`${docs}terminal.svg`, screenToSvg(text, 96));
  for (const [colorScheme, name] of [
    ['light', 'page.png'],
    ['dark', 'page-dark.png'],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    await delay(1500);
    await page.screenshot({ path: `${docs}${name}`, fullPage: true });
  }
} finally {
  tmux('kill-session', '-t', session);
  await browser.stop();
  await Promise.all([source.stop(), cluster.stop()]);
}
