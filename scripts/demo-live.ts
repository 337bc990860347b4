/**
 * `npm run demo:live`: an application goes on writing while its data moves into a cluster, and goes over to
 * the cluster at the end. Then it is counted whether everything that was acknowledged to it is there.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Report } from '../src/index.js';
import { fillMixed } from '../test/support/bulk.js';
import { startCluster } from '../test/support/cluster.js';
import { startServer } from '../test/support/servers.js';
import { waitFor } from '../test/support/wait.js';
import { startApplication } from './demo-application.js';
import { endWith, runCommand, say, startCommand, wasInterrupted } from './demo-parts.js';

const keyCount = 300_000;
/** How long the application goes on before and after each step. */
const lookMs = 1500;

const folder = mkdtempSync(join(tmpdir(), 'cluster-import-demo-'));
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true });
});
// Where `ctl` looks for the run: this one is then the only one.
process.env['XDG_RUNTIME_DIR'] = folder;
const addressFile = join(folder, 'redis-address');
const reportFile = join(folder, 'report.json');

say('Starting a source and a cluster of three masters.');
const [source, cluster] = await Promise.all([startServer(), startCluster()]);
say(`Filling the source with ${keyCount.toLocaleString('en')} keys of every type.`);
await fillMixed(source, keyCount);
writeFileSync(addressFile, `${source.address}\n`);
say(`Starting an application, which reads from ${addressFile} where its data is.`);
const application = startApplication(addressFile);
await sleep(lookMs);

const run = runCommand(
  [
    ...['--from', source.address, '--to', cluster.seed, '--follow'],
    ...['--on-cutover', `echo ${cluster.seed} > ${addressFile}`, '--report', reportFile],
  ],
  // Without a terminal it writes lines, which don't get in the way of others.
  ['ignore', 'pipe', 'pipe'],
);
for (const stream of [run.child.stdout, run.child.stderr]) {
  stream?.on('data', (text: Buffer) => process.stdout.write(text));
}
const refusal = await Promise.race([run.done.then(() => undefined), cutOver()]);
if (refusal !== undefined) run.child.kill('SIGINT');
const code = await run.done;
if (wasInterrupted()) endWith(code, []);
if (refusal !== undefined) endWith(1, [refusal]);
if (code !== 0) endWith(1, [`cluster-import exited with ${String(code)}`]);
await sleep(lookMs);
await application.stop();
const faults = await verdict();
await Promise.all([source.stop(), cluster.stop()]);
endWith(code, faults);

/**
 * Waits until the cluster follows the source, and lets it take over.
 * @returns why it did not.
 */
async function cutOver(): Promise<string | undefined> {
  await waitFor(
    'the cluster to follow the source',
    async () => (await ctl('status', '--json')).output.includes('"phase":"following"'),
    { everyMs: 300 },
  );
  await sleep(lookMs);
  for (const order of ['status', 'cutover']) {
    say(`\n$ cluster-import ctl ${order}`);
    const { code, output } = await ctl(order);
    process.stdout.write(output);
    if (code !== 0) return `ctl ${order} exited with ${String(code)}`;
  }
  return undefined;
}

async function ctl(...words: readonly string[]): Promise<{ code: number; output: string }> {
  const { child, done } = startCommand(['ctl', ...words], ['ignore', 'pipe', 'pipe']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  return { code: await done, output };
}

/** @returns what is wrong. */
async function verdict(): Promise<readonly string[]> {
  const faults = await application.missingIn({
    get: (key) => cluster.clientFor(key).get(key),
    llen: (key) => cluster.clientFor(key).llen(key),
  });
  const keys = await cluster.size();
  const { follow } = JSON.parse(readFileSync(reportFile, 'utf8')) as Report;
  const { acknowledged, longestWaitMs, isSwitched } = application;
  const expectedKeys = keyCount + application.keys;
  const count = (number: number): string => Math.round(number).toLocaleString('en');
  const all = acknowledged.source + acknowledged.cluster;
  const held = follow?.cutover?.heldMs;
  if (faults.length === 0 && keys === expectedKeys) {
    say(
      `\nAcknowledged to the application: ${count(all)} writes, ${count(acknowledged.source)} by the source and ${count(acknowledged.cluster)} by the cluster.\n` +
        `Found in the cluster:            ${count(all)}, every counter and list as it has to be, and ${count(keyCount)} keys besides.\n` +
        `Writes were held for ${count(held ?? NaN)} ms; the application waited ${count(longestWaitMs)} ms at most for a write.`,
    );
  }
  return [
    ...faults,
    ...(keys === expectedKeys ? [] : [`${count(keys)} keys are there, not ${count(expectedKeys)}`]),
    ...(isSwitched && acknowledged.cluster > 0 ? [] : ['the application is still at the source']),
    ...(held === undefined ? ['the report has no cutover'] : []),
  ];
}
