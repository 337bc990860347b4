/**
 * Moves from other versions than the system's, where somebody has them: an opt-in, since nobody's
 * machine has them all.
 *
 *   REDIS_SERVERS=/opt/redis-2.8/redis-server:/opt/redis-6.2/redis-server npm run test:matrix
 *
 * Each of them is a source in turn, by each mover; values are compared, and the connections that
 * the nodes accepted meanwhile are counted. KEYS says how many keys there are besides (20000).
 */
import { delimiter } from 'node:path';
import type { Redis } from 'ioredis';
import { runCli } from '../support/cli.js';
import { fillStrings } from '../support/bulk.js';
import { startCluster, type TestCluster } from '../support/cluster.js';
import { differences, type Snapshot, snapshotOfAll } from '../support/compare.js';
import { fillEveryType } from '../support/every-type.js';
import { type Server, startServer, using } from '../support/servers.js';
import type { Report } from '../../src/report.js';

const binaries = (process.env['REDIS_SERVERS'] ?? '').split(delimiter).filter(Boolean);
const keyCount = Number(process.env['KEYS'] ?? 20_000);

async function fieldOf(server: Server, section: string, field: string): Promise<string> {
  const info = await server.client.info(section);
  return new RegExp(`^${field}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? '';
}

async function connectionsTo(cluster: TestCluster): Promise<number[]> {
  const received = 'total_connections_received';
  return Promise.all(
    cluster.masters.map(async (node) => Number(await fieldOf(node, 'stats', received))),
  );
}

async function move(source: Server, cluster: TestCluster, mover: string): Promise<string[]> {
  await Promise.all([source.client.flushall(), cluster.flush()]);
  await fillEveryType(source.client, 'older');
  await fillStrings(source, { count: keyCount, valueBytes: 64 });
  const before = await contentsOf([source]);
  const accepted = await connectionsTo(cluster);
  const args = ['--from', source.address, '--to', cluster.seed, '--mover', mover];
  const { code, stdout, stderr } = await runCli([...args, '--json', '--quiet']);
  const sockets = (await connectionsTo(cluster)).map((now, at) => now - (accepted[at] ?? 0));
  if (stdout === '') return ['refused', '', '', stderr.trim()];
  const report = JSON.parse(stdout) as Report;
  const found = await contentsOf(cluster.masters);
  const different = differences(before, found);
  if (process.env['VERBOSE'] === '1') console.error(different.join('\n').slice(0, 5000));
  const wrong = different.length + (await source.client.dbsize());
  const result =
    code === 0 && wrong === 0 ? 'equal' : `exit ${String(code)}, ${String(wrong)} differ`;
  const rate = `${report.keysPerSecond.toLocaleString('en')} keys/s`;
  return [result, rate, sockets.join(' '), `${report.mover}: ${report.moverReason}`];
}

/**
 * Streams by their entries and pending ones, because what else XINFO tells differs between versions;
 * scores as numbers, because versions write them differently.
 */
async function contentsOf(servers: readonly Server[]): Promise<Snapshot> {
  const contents = new Map(await snapshotOfAll(servers.map(({ client }) => client)));
  for (const [key, { type, deadlineMs }] of contents) {
    const read = readers[type];
    if (!read) continue;
    const told = await Promise.all(servers.map(({ client }) => read(client, key)));
    contents.set(key, { type, value: told.join(''), deadlineMs });
  }
  return contents;
}

const readers: Readonly<Record<string, (client: Redis, key: string) => Promise<string>>> = {
  stream: entriesOf,
  zset: scoresOf,
};

async function entriesOf(client: Redis, key: string): Promise<string> {
  if ((await client.exists(key).catch(() => 0)) === 0) return '';
  const groups = (await client.call('XINFO', 'GROUPS', key)) as unknown[][];
  const pending = groups.map((group) => client.call('XPENDING', key, String(group[1])));
  return JSON.stringify([await client.xrange(key, '-', '+'), ...(await Promise.all(pending))]);
}

async function scoresOf(client: Redis, key: string): Promise<string> {
  const items = await client.zrange(key, '0', '-1', 'WITHSCORES').catch((): string[] => []);
  return items
    .map((item, at) => {
      if (at % 2 === 0) return JSON.stringify(item);
      const score = Number(item.replace('inf', 'Infinity'));
      return Object.is(score, -0) ? '-0' : String(score);
    })
    .join(' ');
}

if (binaries.length === 0) {
  console.error('REDIS_SERVERS names no redis-server: see the top of test/matrix/run.ts.');
  process.exit(2);
}
await using(startCluster(), async (cluster) => {
  const target = await fieldOf(cluster.masters[0] as Server, 'server', 'redis_version');
  console.log(`| source | mover | to ${target} | rate | sockets to each node | by |`);
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const binary of binaries) {
    await using(startServer({ binary }), async (source) => {
      const version = await fieldOf(source, 'server', 'redis_version');
      for (const mover of ['relay', 'migrate', 'auto']) {
        const cells = await move(source, cluster, mover).catch((error: unknown) => [String(error)]);
        console.log(`| ${[version, mover, ...cells].join(' | ')} |`);
      }
    });
  }
});
process.exit();
