/**
 * Clients go on writing to the source while its keys leave it. Each writer keeps a book of what was
 * acknowledged (../../chaos/ledger.ts), and afterwards all of it must be found, once.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Run } from '../../chaos/importer.js';
import { inspect } from '../../chaos/inspection.js';
import { planOf } from '../../chaos/plan.js';
import { startServers, type Servers } from '../../chaos/servers.js';
import { createWriter } from '../../chaos/writer.js';
import { createTerritory } from '../../chaos/writes.js';
import { randomFrom } from '../../support/random.js';
import { fillStrings } from '../../support/bulk.js';
import { startCli } from '../../support/cli.js';
import { startHalfway, unlessEnded } from '../../support/halfway.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { reportOf } from '../../support/reports.js';
import { forgetRuns } from '../../support/state.js';
import { waitFor } from '../../support/wait.js';

let servers: Servers;
let proxy: Proxy;

beforeAll(async () => {
  servers = await startServers('disks');
  // Who may do all that a run needs but scripts.
  const { client } = servers.source;
  await client.call('ACL', 'SETUSER', 'unscripted', 'on', '>secret', '~*', '+@all', '-@scripting');
});
afterAll(() => servers.stop());
beforeEach(async () => {
  forgetRuns();
  await servers.clear();
  proxy = await startProxy(servers.source);
});
afterEach(() => proxy.stop());

const atCluster = (key: string) => servers.cluster.clientFor(key);

describe.each([
  ['relay', (address: string) => [address, '--mover', 'relay'], true],
  ['migrate', (address: string) => [address, '--mover', 'migrate'], true],
  [
    'relay, for a user who may not run scripts',
    (address: string) => [`redis://unscripted:secret@${address}`, '--mover', 'relay'],
    // What groups do without scripts nobody notices: docs/guarantees.md says so.
    false,
  ],
])('with %s', (_, from, groups) => {
  it('every acknowledged write is found once', async () => {
    const seeds = [1, 2, 3];
    const writers = seeds.map((seed) =>
      createWriter(servers.source, randomFrom(seed, 0), createTerritory(String(seed), { groups })),
    );
    await Promise.all(writers.map((writer) => writer.fill(1500)));
    // So that there is time to write something in between.
    proxy.faults.delayMs = { up: 2, down: 2 };
    for (const writer of writers) writer.start();
    const words = ['--to', servers.cluster.seed, '--json', '--quiet'];
    const startedMs = Date.now();
    const run = startCli(['--from', ...from(proxy.address), ...words]);
    const acknowledged = (): number =>
      writers.reduce((sum, { counts }) => sum + counts.acknowledged, 0);
    const isMoving = async () => (await servers.source.client.dbsize()) < 4000;
    await unlessEnded(run, waitFor('keys to leave', isMoving));
    const enough = acknowledged() + 1000;
    await waitFor('writes in the midst of it', () => acknowledged() > enough);
    await Promise.all(writers.map((writer) => writer.stop()));
    proxy.faults.delayMs = { up: 0, down: 0 };
    const { code, report, stderr } = reportOf(await run.done);

    const played: Run = { code, report, stderr, startedMs, endedMs: Date.now() };
    const { complaints, recreated } = await inspect({
      ledgers: writers.map(({ ledger }) => ledger),
      servers,
      runs: [played],
      plan: { ...planOf(0), strict: true },
      interruptions: [],
    });
    expect(complaints).toEqual([]);
    // Writers who hit upon keys that have left make them anew.
    expect(recreated).toBeGreaterThan(0);
    expect(report.failures.every((one) => one.class === 'recreated')).toBe(true);
  });
});

describe.each(['relay', 'migrate'])('with %s, what is written behind its back', (mover) => {
  const count = 40_000;
  const words = ['--mover', mover];

  /** Acts while a run is halfway, and lets it go on to its end. */
  async function meanwhile(act: () => Promise<void>) {
    await fillStrings(servers.source, { count, valueBytes: 20 });
    const { source, cluster } = servers;
    const run = await startHalfway({ source, proxy, to: cluster.seed, words });
    await act();
    proxy.resume();
    return reportOf(await run.done);
  }

  it('new keys are found, wherever they come to stand', async () => {
    const more = 5000;
    const { code, report } = await meanwhile(() =>
      fillStrings(servers.source, { count: more, valueBytes: 20, prefix: 'new:' }),
    );
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(report.keys.moved).toBe(count + more);
    expect(await servers.source.client.dbsize()).toBe(0);
    expect(await servers.cluster.size()).toBe(count + more);
  });

  it('a key that has left and comes back stays on both sides, and is named', async () => {
    let key = '';
    let moved: string | null = null;
    const { code, report } = await meanwhile(async () => {
      // What has left so far may all have gone to one node.
      key = await waitFor('a key that has left', async () => {
        const some = servers.cluster.masters.map(({ client }) => client.randomkey());
        for (const there of await Promise.all(some)) {
          if (there && (await servers.source.client.exists(there)) === 0) return there;
        }
        return false;
      });
      moved = await atCluster(key).get(key);
      await servers.source.client.incr(key);
    });
    expect(moved).not.toBeNull();
    expect(report.failures).toEqual([expect.objectContaining({ key, class: 'recreated' })]);
    expect(code).toBe(1);
    expect(report.keys).toMatchObject({ moved: count, conflicting: 1, failed: 0 });
    expect(await atCluster(key).get(key)).toBe(moved);
    expect(await servers.source.client.get(key)).toBe('1');
    expect(await servers.source.client.dbsize()).toBe(1);
  });
});
