/** A run may be stopped, cut off or killed at any time: no key is lost, and the next run goes on. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed, fillStrings, mixedKey } from '../../support/bulk.js';
import { type CliRun, startCli } from '../../support/cli.js';
import { differences, type Snapshot, snapshotOf } from '../../support/compare.js';
import { unlessEnded } from '../../support/halfway.js';
import { stallAfter } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { reportOf, runJson } from '../../support/reports.js';
import { leftAlone } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
/** More than may be in flight at one time, so that there is something left when a run stops. */
const count = 60_000;
/** So many of them are compared by content, the others by their number. */
const mixedCount = 6000;
const sample = Array.from({ length: mixedCount }, (_, at) => Buffer.from(mixedKey(at).key));
/** From when on a run is under way: the first pages have been listed, the last ones have not. */
const listedBytes = 100_000;

let proxy: Proxy;
let before: Snapshot;

beforeEach(async () => {
  proxy = await startProxy(stage.source);
  await fillMixed(stage.source, mixedCount);
  await fillStrings(stage.source, { count: count - mixedCount, valueBytes: 20 });
  before = await snapshotOf(sample, () => stage.source.client);
});
afterEach(() => proxy.stop());

async function expectAllInCluster(): Promise<void> {
  const after = await snapshotOf(sample, (key) => stage.cluster.clientFor(key));
  expect(differences(before, after)).toEqual([]);
  expect(await stage.cluster.size()).toBe(count);
  expect(await stage.source.client.dbsize()).toBe(0);
}

/** Nothing is on both sides, and nothing is on neither. */
async function expectOnOneSide(): Promise<void> {
  const here = await snapshotOf(sample, () => stage.source.client);
  const there = await snapshotOf(sample, (key) => stage.cluster.clientFor(key));
  expect(here.size + there.size).toBe(sample.length);
  expect(differences(before, new Map([...here, ...there]))).toEqual([]);
  expect((await stage.source.client.dbsize()) + (await stage.cluster.size())).toBe(count);
}

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  const words = () => [
    ...['--to', stage.cluster.seed, '--mover', mover, '--no-replace'],
    ...['--json', '--quiet'],
  ];

  /** Begins a run and holds it halfway. */
  async function startAndHold(...more: string[]): Promise<CliRun> {
    const held = stallAfter(proxy, listedBytes);
    const run = startCli(['--from', proxy.address, '--timeout', '10m', ...words(), ...more]);
    await unlessEnded(run, held);
    return run;
  }

  /** What a run had sent that did not wait for answers may be under way for as long as servers take. */
  async function workedOff(): Promise<void> {
    const sending = mover === 'relay' ? stage.cluster.masters : [];
    await Promise.all([stage.source, ...sending].map(leftAlone));
  }

  async function resume(): Promise<void> {
    const left = await stage.source.client.dbsize();
    const { code, report } = await runJson(['--from', stage.source.address, ...words()]);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(report.keys).toMatchObject({ scanned: left, moved: left });
    await expectAllInCluster();
  }

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    // What a terminal that closes sends comes twice: from its shell, and from the system.
    ['SIGHUP', 129],
  ] as const)(
    'finishes the batches in flight on %s, and goes on with the rest',
    async (signal, exit) => {
      const run = await startAndHold();
      run.signal(signal);
      await run.output(/once more to stop at once/);
      if (signal === 'SIGHUP') run.signal(signal);
      proxy.resume();
      const { code, report, stderr } = reportOf(await run.done);
      expect(code).toBe(exit);
      expect(report.status).toBe('interrupted');
      expect(stderr).toContain('once more to stop at once');
      const left = await stage.source.client.dbsize();
      expect(left).toBeGreaterThan(0);
      await expectOnOneSide();
      expect(report.keys.moved).toBe(count - left);
      await resume();
    },
  );

  it('stops at once at the second signal', async () => {
    const run = await startAndHold();
    run.signal('SIGINT');
    await run.output(/once more to stop at once/);
    run.signal('SIGINT');
    expect((await run.done).code).toBe(130);
    proxy.resume();
    await workedOff();
    await resume();
  });

  it('goes on after it was killed', async () => {
    const run = await startAndHold();
    run.signal('SIGKILL');
    await run.done;
    proxy.resume();
    await workedOff();
    await resume();
  });

  it('goes on by itself after a connection was cut', async () => {
    const run = await startAndHold();
    proxy.resume();
    proxy.cut();
    const { code, report } = reportOf(await run.done);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(report.keys).toMatchObject({ scanned: count, moved: count });
    await expectAllInCluster();
  });

  it('does not wait for a lost source any longer when it is told to stop', async () => {
    const run = await startAndHold('--retry-for', '10m');
    proxy.faults.refuse = true;
    proxy.resume();
    proxy.cut();
    const before = proxy.refused;
    await waitFor('tries to connect again', () => proxy.refused > before + 3);
    run.signal('SIGINT');
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(130);
    expect(report).toMatchObject({ status: 'interrupted', failures: [] });
    proxy.faults.refuse = false;
    await resume();
  });

  it('loses nothing when the source is cut off for good', async () => {
    const run = await startAndHold('--retry-for', '500ms');
    proxy.faults.refuse = true;
    proxy.resume();
    proxy.cut();
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(3);
    expect(report.status).toBe('failed');
    expect(report.error).toContain(proxy.address);
    await resume();
  });
});
