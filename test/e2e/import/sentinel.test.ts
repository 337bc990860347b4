/** A source that Sentinels know by its name, and that changes in the middle of a run. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runCli, startCli } from '../../support/cli.js';
import { fillStrings } from '../../support/bulk.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { unlessEnded } from '../../support/halfway.js';
import { stallAfter } from '../../support/hold.js';
import { startProxy } from '../../support/proxy.js';
import { reportOf, runJson } from '../../support/reports.js';
import { type Server, startServer, using } from '../../support/servers.js';
import { waitFor } from '../../support/wait.js';

const password = 'for Sentinels';
const env = { CLUSTER_IMPORT_SENTINEL_PASSWORD: password };
const keyCount = 20_000;

let master: Server;
let replica: Server;
let sentinel: Server;
let cluster: TestCluster;

beforeAll(async () => {
  [master, cluster] = await Promise.all([startServer(), startCluster()]);
  replica = await startServer({
    config: [`replicaof ${master.host} ${String(master.port)}`, 'repl-diskless-sync-delay 0'],
  });
  sentinel = await startServer({
    sentinel: true,
    config: [
      `sentinel monitor main ${master.host} ${String(master.port)} 1`,
      'sentinel failover-timeout main 120000',
      `requirepass "${password}"`,
    ],
  });
  await waitFor('the Sentinel to know the replica', async () => {
    const replicas = (await sentinel.client.call('SENTINEL', 'REPLICAS', 'main')) as string[][];
    const [fields = []] = replicas;
    return fields.join(' ').includes('master-link-status ok');
  });
});
afterAll(() => Promise.all([master, replica, sentinel, cluster].map((one) => one.stop())));
beforeEach(() => cluster.flush());

const from = (name = 'main') => [
  ...['--from', `sentinel://${name}@127.0.0.1:1,${sentinel.address}`],
  ...['--to', cluster.seed],
];

describe('a source named by Sentinels', () => {
  it('is found, past a Sentinel that is down', async () => {
    await master.client.set('key', 'value');
    const { code, report } = await runJson(from(), env);
    expect(code).toBe(0);
    expect(report.from).toEqual([`${master.address}/0`]);
    expect(await cluster.clientFor('key').get('key')).toBe('value');
  });

  it('is refused in a sentence when nobody knows it, or the password is missing', async () => {
    const unknown = await runCli(from('another'), env);
    expect(unknown.stderr).toMatch(/knows no master named another: correct --from/);
    const locked = await runCli(from());
    expect(locked.stderr.trim().split('\n')).toHaveLength(1);
    expect([unknown.code, locked.code]).toEqual([2, 2]);
  });

  it('is found again after a failover in the middle of the run', async () => {
    await fillStrings(master, { count: keyCount, valueBytes: 200 });
    await waitFor(
      'the replica to follow',
      async () => (await replica.client.dbsize()) === keyCount,
    );
    await using(startProxy(master), async (proxy) => {
      const nat = ['--nat', `${master.address}=${proxy.address}`];
      const words = ['--json', '--quiet', '--mover', 'relay', '--retry-for', '10m'];
      const half = stallAfter(proxy, 1_500_000);
      const run = startCli([...from(), ...nat, ...words], env);
      await unlessEnded(run, half);
      proxy.faults.refuse = true;
      proxy.cut();
      proxy.resume();
      // It refuses as long as it has not heard of the replica lately.
      await waitFor('a failover to begin', async () =>
        String(await sentinel.client.call('SENTINEL', 'FAILOVER', 'main')),
      );
      const { code, report } = reportOf(await run.done);
      expect(report.failures).toEqual([]);
      expect(code).toBe(0);
    });
    expect(await replica.client.dbsize()).toBe(0);
    expect(await replica.client.info('replication')).toContain('role:master');
    expect(await cluster.size()).toBe(keyCount);
  });
});
