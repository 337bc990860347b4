/**
 * Clusters that announce what can't be dialled from here, no host at all, or a name. What they
 * announce is set by their own options; the way to them is a proxy for each node.
 */
import { networkInterfaces } from 'node:os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { differences, snapshot, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { freePort } from '../../support/ports.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer, using } from '../../support/servers.js';
import { waitFor } from '../../support/wait.js';

let source: Server;
let cluster: TestCluster;
let proxies: Proxy[];

beforeAll(async () => {
  [source, cluster] = await Promise.all([startServer(), startCluster()]);
  proxies = await Promise.all(cluster.masters.map(startProxy));
});
afterAll(async () => {
  await Promise.all([source, cluster, ...proxies].map((one) => one.stop()));
});
beforeEach(async () => {
  await Promise.all([source.client.flushall(), cluster.flush()]);
  await fillEveryType(source.client);
});

async function configure(name: string, value: string): Promise<void> {
  for (const { client } of cluster.masters) await client.config('SET', name, value);
}

async function told(words: string): Promise<void> {
  await waitFor(`all nodes to announce ${words}`, async () => {
    const slots = await Promise.all(
      cluster.masters.map(({ client }) => client.call('CLUSTER', 'SLOTS')),
    );
    return slots.every((one) => JSON.stringify(one).includes(words));
  });
}

async function expectMove(args: readonly string[]) {
  const before = await snapshot(source.client);
  const { code, report } = await runJson(['--from', source.address, ...args]);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  const found = await snapshotOfAll(cluster.masters.map((node) => node.client));
  expect(differences(before, found)).toEqual([]);
  return report;
}

describe('addresses that can not be dialled', () => {
  /** Ports that the nodes announce, where nobody listens. */
  let announced: number[];
  beforeAll(async () => {
    announced = await Promise.all(cluster.masters.map(() => freePort()));
    for (const [at, { client, port }] of cluster.masters.entries()) {
      await client.config('SET', 'cluster-announce-bus-port', port + 10_000);
      await client.config('SET', 'cluster-announce-port', announced[at] ?? 0);
    }
    for (const port of announced) await told(String(port));
  });
  afterAll(async () => {
    await configure('cluster-announce-port', '0');
    for (const { port } of cluster.masters) await told(String(port));
  });

  const nat = () =>
    announced.flatMap((port, at) => [
      '--nat',
      `127.0.0.1:${String(port)}=${proxies[at]?.address ?? ''}`,
    ]);

  it('are named, without --nat', async () => {
    const args = ['--from', source.address, '--to', cluster.seed];
    const { code, stderr } = await runCli(args);
    expect(stderr).toMatch(/announces a master at 127\.0\.0\.1:\d+\. Nothing listens.* --nat 127/);
    expect(code).toBe(2);
  });

  it('are translated, and keep their names', async () => {
    const passedBefore = proxies.map(({ bytes }) => bytes.up);
    const seed = proxies[0]?.address ?? '';
    const report = await expectMove(['--to', seed, ...nat(), '--mover', 'relay']);
    proxies.forEach(({ bytes }, at) => {
      expect(bytes.up - (passedBefore[at] ?? 0)).toBeGreaterThan(10_000);
    });
    expect(report.nodes.map((node) => node.address).sort()).toEqual(
      announced.map((port) => `127.0.0.1:${String(port)}`).sort(),
    );
  });

  it('rule out MIGRATE by themselves, because the source dials what is announced', async () => {
    expect((await expectMove(['--to', cluster.seed, ...nat()])).mover).toBe('relay');
  });

  it('are refused when they are no translation', async () => {
    const args = ['--from', source.address, '--to', cluster.seed, '--nat', 'nonsense'];
    const { code, stderr } = await runCli(args);
    expect(stderr).toMatch(/--nat nonsense is not a translation/);
    expect(code).toBe(2);
  });
});

describe('endpoints of other kinds', () => {
  afterEach(() => configure('cluster-preferred-endpoint-type', 'ip'));

  it.each(['relay', 'migrate'])('no host at all, by %s', async (mover) => {
    await configure('cluster-preferred-endpoint-type', 'unknown-endpoint');
    await expectMove(['--to', cluster.seed, '--mover', mover]);
  });

  it('a hostname, which --nat may translate', async () => {
    await configure('cluster-announce-hostname', 'localhost');
    await configure('cluster-preferred-endpoint-type', 'hostname');
    await waitFor('all to be called localhost', async () => {
      const slots = JSON.stringify(await cluster.masters[0]?.client.call('CLUSTER', 'SLOTS'));
      return slots.split('"localhost"').length > 3;
    });
    const { nodes } = await expectMove(['--to', cluster.seed, '--nat', 'localhost=127.0.0.1']);
    expect(nodes[0]?.address).toMatch(/^localhost:/);
  });

  it('a hostname that a node does not have (?)', async () => {
    await configure('cluster-announce-hostname', '');
    await waitFor('the hostnames to be gone', async () => {
      const nodes = await cluster.masters[0]?.client.call('CLUSTER', 'NODES');
      return !String(nodes).includes('localhost');
    });
    await configure('cluster-preferred-endpoint-type', 'hostname');
    await expectMove(['--to', cluster.seed]);
  });
});

describe('IPv6', () => {
  it('in what the cluster announces, by both movers', async (context) => {
    const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
      all?.some(({ address }) => address === '::1'),
    );
    if (!hasIpv6) context.skip('this machine has no IPv6');
    const config = ['bind 127.0.0.1 ::1', 'cluster-announce-ip ::1'];
    await using(startCluster({ config }), async (ipv6) => {
      for (const mover of ['relay', 'migrate']) {
        await source.client.set('key', mover);
        const to = `[::1]:${String(ipv6.masters[0]?.port)}`;
        const args = ['--from', source.address, '--to', to, '--mover', mover, '--replace'];
        const { code, report } = await runJson([...args, '--match', 'key']);
        expect(code).toBe(0);
        expect(report.nodes.find(({ keys }) => keys > 0)?.address).toMatch(/^\[::1\]:\d+$/);
        expect(await ipv6.clientFor('key').get('key')).toBe(mover);
      }
    });
  });
});
