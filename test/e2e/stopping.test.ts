/** A run may be stopped, cut off or killed at any time: no key is lost, and the next run goes on. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed } from '../support/bulk.js';
import { type CliRun, startCli } from '../support/cli.js';
import { differences, type Snapshot, snapshot, snapshotOfAll } from '../support/compare.js';
import { type Proxy, startProxy } from '../support/proxy.js';
import { reportOf, runJson } from '../support/reports.js';
import { setStage } from '../support/stage.js';
import { waitFor } from '../support/wait.js';

const stage = setStage();
const count = 20_000;
let proxy: Proxy;
let before: Snapshot;

beforeEach(async () => {
  proxy = await startProxy(stage.source);
  await fillMixed(stage.source, count);
  before = await snapshot(stage.source.client);
});
afterEach(() => proxy.stop());

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  const words = () => [
    ...['--to', stage.cluster.seed, '--mover', mover, '--no-replace'],
    ...['--json', '--quiet'],
  ];

  /** Begins a run over a slow link, so that it is still at it when something happens to it. */
  async function startSlowly(...more: string[]): Promise<CliRun> {
    proxy.faults.delayMs.down = 30;
    const run = startCli(['--from', proxy.address, ...words(), ...more]);
    await waitFor('the first keys to arrive', async () => (await stage.cluster.size()) > 200);
    return run;
  }

  async function resume(): Promise<void> {
    const left = await stage.source.client.dbsize();
    const { code, report } = await runJson(['--from', stage.source.address, ...words()]);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(report.keys).toMatchObject({ scanned: left, moved: left });
    expect(await stage.missingIn(before)).toEqual([]);
    expect(await stage.source.client.dbsize()).toBe(0);
  }

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'finishes the batches in flight on %s, and goes on with the rest',
    async (signal, exit) => {
      const run = await startSlowly();
      run.signal(signal);
      const { code, report, stderr } = reportOf(await run.done);
      expect(code).toBe(exit);
      expect(report.status).toBe('interrupted');
      expect(stderr).toContain('once more to stop at once');
      const left = await stage.source.client.dbsize();
      expect(left).toBeGreaterThan(0);
      // Nothing is on both sides, and nothing is on neither.
      const clients = [stage.source, ...stage.cluster.masters].map(({ client }) => client);
      expect(differences(before, await snapshotOfAll(clients))).toEqual([]);
      expect(report.keys.moved).toBe(count - left);
      await resume();
    },
  );

  it('stops at once at the second signal', async () => {
    const run = await startSlowly();
    proxy.stall();
    run.signal('SIGINT');
    await run.output(/once more to stop at once/);
    run.signal('SIGINT');
    expect((await run.done).code).toBe(130);
    proxy.cut();
    await resume();
  });

  it('goes on after it was killed', async () => {
    const run = await startSlowly();
    run.signal('SIGKILL');
    await run.done;
    proxy.cut();
    await resume();
  });

  it('loses nothing when the source is cut off for good', async () => {
    const run = await startSlowly('--timeout', '500ms');
    proxy.faults.refuse = true;
    proxy.cut();
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(3);
    expect(report.status).toBe('failed');
    expect(report.error).toContain(proxy.address);
    await resume();
  });
});
