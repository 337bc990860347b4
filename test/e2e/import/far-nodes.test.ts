/** Nodes that are far from the source, which MIGRATE keeps waiting for as long as the way to them takes. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { type FarCluster, startFarCluster } from '../../support/far-cluster.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer } from '../../support/servers.js';

const roundTripMs = 60;
const count = 600;

let source: Server;
let far: FarCluster;

beforeAll(async () => {
  [source, far] = await Promise.all([startServer(), startFarCluster()]);
  far.setRoundTrip(roundTripMs);
});
afterAll(async () => {
  await Promise.all([source.stop(), far.stop()]);
});
beforeEach(async () => {
  await Promise.all([source.client.flushall(), far.cluster.flush()]);
  await source.client.config('RESETSTAT');
  await fillStrings(source, { count, valueBytes: 20 });
});

async function migrateCalls(): Promise<number> {
  const stats = await source.client.info('commandstats');
  return Number(/cmdstat_migrate:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

it('MIGRATE takes more keys in a call where one alone takes most of the time that a call may take', async () => {
  // With a machine's own delays a call may take some more than the way, and still less than twice as long.
  const words = ['--mover', 'migrate', '--max-block', `${String(roundTripMs * 1.8)}ms`];
  const { code, report } = await runJson(['--from', source.address, '--to', far.seed, ...words]);
  expect([code, report.keys.moved]).toEqual([0, count]);
  expect(await migrateCalls()).toBeLessThan(count / 4);
});

it('auto rules MIGRATE out where a single key keeps the source waiting for longer than a call may', async () => {
  const words = ['--mover', 'auto', '--max-source-latency', 'off'];
  const { code, report } = await runJson(['--from', source.address, '--to', far.seed, ...words]);
  expect([code, report.keys.moved, report.mover]).toEqual([0, count, 'relay']);
  expect(report.moverReason).toMatch(
    /^migrate was ruled out: a single key keeps the source waiting for \d+ ms$/,
  );
  // Two keys tell: the first one may have had to connect. Other nodes are not tried any more.
  expect(await migrateCalls()).toBe(2);
});
