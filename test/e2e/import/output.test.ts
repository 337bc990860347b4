/** What a run says, and where: the report as text, as JSON and as a file, progress, and metrics. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runCli, startCli } from '../../support/cli.js';
import { unlessEnded } from '../../support/halfway.js';
import { stallAfter, stallAtRemoval } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { expectSums } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';
import type { Report } from '../../../src/report.js';
import { fillStrings } from '../../support/bulk.js';

const stage = setStage();
let directory: string;
let proxy: Proxy;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cluster-import-'));
  proxy = await startProxy(stage.source);
  await fillStrings(stage.source, { count: 5000, valueBytes: 64 });
});
afterEach(async () => {
  await proxy.stop();
  await rm(directory, { recursive: true, force: true });
});

it('says what happened, for people on standard output', async () => {
  const { code, stdout, stderr } = await runCli([...stage.endpoints, '--quiet']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/complete/i);
  expect(stdout).toContain('5,000');
  for (const { address } of stage.cluster.masters) expect(stdout).toContain(address);
  expect(stderr).toBe('');
});

it('takes the verb as well', async () => {
  expect((await runCli(['import', ...stage.endpoints, '--quiet'])).code).toBe(0);
  expect(await stage.cluster.size()).toBe(5000);
});

it('writes the report to a file too, the same', async () => {
  const file = join(directory, 'report.json');
  // Said, because by default it is chosen by measuring; and only the relay knows how much it carried.
  const words = [...stage.endpoints, '--mover', 'relay', '--report', file];
  const { stdout } = await runCli([...words, '--quiet', '--json']);
  const report = JSON.parse(await readFile(file, 'utf8')) as Report;
  expect(JSON.parse(stdout)).toEqual(report);
  expectSums(report);
  expect(report).toMatchObject({
    status: 'complete',
    from: [`${stage.source.address}/0`],
    to: stage.cluster.seed,
    mode: 'move',
    mover: 'relay',
    keys: { scanned: 5000, moved: 5000, gone: 0, conflicting: 0, failed: 0 },
    failures: [],
  });
  expect(report.moverReason).toMatch(/\w/);
  expect(report.bytes).toBeGreaterThanOrEqual(5000 * 64);
  expect(report.nodes.map(({ address }) => address).sort()).toEqual(
    stage.cluster.masters.map(({ address }) => address).sort(),
  );
});

it('shows progress on standard error, and nothing but the report on standard output', async () => {
  // Nothing comes any more from somewhere in the middle, until a line about it was written.
  void stallAfter(proxy, 100_000);
  const words = ['--from', proxy.address, '--to', stage.cluster.seed, '--json'];
  const run = startCli([...words, '--timeout', '10m']);
  await run.output(/\d % · [\d,]+ of 5,000 keys · [\d,]+ keys\/s/);
  proxy.resume();
  const { code, stdout, stderr } = await run.done;
  expect(code).toBe(0);
  expect(() => JSON.parse(stdout) as unknown).not.toThrow();
  expect(stderr).not.toContain('{');
});

it('serves metrics while it runs', async () => {
  const held = stallAtRemoval(proxy, 2);
  const endpoints = ['--from', proxy.address, '--to', stage.cluster.seed, '--timeout', '10m'];
  const run = startCli([...endpoints, '--mover', 'relay', '--metrics', '127.0.0.1:0']);
  const [url] = await run.output(/http:\/\/[\d.:]+\/metrics/);
  await unlessEnded(run, held);
  const text = await waitFor('keys in the metrics', async () => {
    const answer = await (await fetch(url)).text();
    return /cluster_import_keys_total\{outcome="moved"\} [1-9]/.test(answer) && answer;
  });
  for (const name of ['batches_total', 'inflight_keys', 'progress_ratio', 'source_keys']) {
    expect(text).toContain(`cluster_import_${name}`);
  }
  proxy.resume();
  expect((await run.done).code).toBe(0);
  await expect(fetch(url)).rejects.toThrow();
});

it('tells its version and its flags', async () => {
  const { version } = JSON.parse(
    await readFile(new URL('../../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  expect(await runCli(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  const { code, stdout } = await runCli(['--help']);
  expect(code).toBe(0);
  for (const flag of [
    '--from',
    '--to',
    '--copy',
    '--replace',
    '--no-replace',
    '--mover',
    '--json',
  ]) {
    expect(stdout).toContain(flag);
  }
  for (const flag of ['--report', '--metrics', '--quiet']) expect(stdout).toContain(flag);
  // What is said of the verbs goes on below itself.
  expect(stdout).toMatch(/^ {2}check {7}Tells .*\n {14}owners\.$/m);
});
