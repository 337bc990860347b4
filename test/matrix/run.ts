/**
 * `npm run test:matrix`: moves between the system's Redis, Redis 8, Valkey 8 and Valkey 9 (`npm run setup:tools` gets
 * those), in both directions. What came of it is written into docs/compatibility.md.
 *
 * Other versions are an opt-in, since nobody's machine has them all; of these nothing is written:
 *
 *   REDIS_SERVERS=/opt/redis-2.8/redis-server:/opt/redis-6.2/redis-server npm run test:matrix
 *
 * Each of them is a source in turn, by each mover and in each way that its build knows (ways.ts);
 * values are compared, and the connections that the nodes accepted meanwhile are counted. Further
 * variables: TARGET_SERVER is what the cluster is made of (the system's), KEYS how many keys there
 * are besides those of every type (20000), MOVERS and WAYS leave some out (MOVERS=relay
 * WAYS=none,TLS), and VERBOSE=1 tells what differs.
 */
import { delimiter } from 'node:path';
import { findRedis } from '../../scripts/find-redis.mjs';
import { findTool } from '../../scripts/find-tools.mjs';
import { createAuthority } from '../support/certificates.js';
import { runCli } from '../support/cli.js';
import { stringValue } from '../support/bulk.js';
import { startCluster, type TestCluster } from '../support/cluster.js';
import { differences } from '../support/compare.js';
import { fillEveryType } from '../support/every-type.js';
import { type Server, startServer, using } from '../support/servers.js';
import type { Report } from '../../src/report.js';
import { contentsOf } from './contents.js';
import { fieldOf, versionOf } from './version.js';
import { type Way, waysOf } from './ways.js';
import { type Cells, writeCompatibility } from './compatibility.js';

const named = (process.env['REDIS_SERVERS'] ?? '').split(delimiter).filter(Boolean);
const todays = (['redis-8', 'valkey-8', 'valkey-9'] as const).map(findTool);
const own = [findRedis('redis-server'), ...todays].filter((program) => program !== undefined);
const isOwn = named.length === 0;
const binaries = isOwn ? own : named;
const targets = isOwn ? own : [process.env['TARGET_SERVER'] ?? findRedis('redis-server') ?? ''];
const rows: Cells[] = [];
const keyCount = Number(process.env['KEYS'] ?? 20_000);
const listed = (name: string): readonly string[] | undefined => process.env[name]?.split(',');

async function connectionsTo(cluster: TestCluster): Promise<number[]> {
  const received = 'total_connections_received';
  return Promise.all(
    cluster.masters.map(async (node) => Number(await fieldOf(node, 'stats', received))),
  );
}

/** Over the test's own client, which has the password. */
async function fillMany({ client }: Server): Promise<void> {
  for (let first = 0; first < keyCount; first += 1000) {
    const pairs = Array.from({ length: Math.min(1000, keyCount - first) }, (_, at) => [
      `key:${String(first + at)}`,
      stringValue(first + at, 64),
    ]);
    await client.mset(...pairs.flat());
  }
}

async function move(
  source: Server,
  cluster: TestCluster,
  mover: string,
  way: Way,
): Promise<string[]> {
  await Promise.all([source.client.flushall(), cluster.flush()]);
  await fillEveryType(source.client, 'older');
  await fillMany(source);
  const before = await contentsOf([source]);
  const accepted = await connectionsTo(cluster);
  const ends = [...way.source.words(source.address), ...way.nodes.words(cluster.seed)];
  const { code, stdout, stderr } = await runCli([...ends, '--mover', mover, '--json', '--quiet'], {
    ...way.source.env,
    ...way.nodes.env,
  });
  const sockets = (await connectionsTo(cluster)).map((now, at) => now - (accepted[at] ?? 0));
  if (stdout === '') return ['refused', '', '', stderr.trim()];
  const report = JSON.parse(stdout) as Report;
  const found = await contentsOf(cluster.masters);
  const different = differences(before, found);
  if (process.env['VERBOSE'] === '1') console.error(different.join('\n').slice(0, 5000));
  const left = await source.client.dbsize();
  const counts = `${String(different.length)} differ, ${String(left)} left, ${String(report.keys.failed)} failed`;
  const result =
    code === 0 && different.length + left === 0 ? 'equal' : `exit ${String(code)}, ${counts}`;
  const classes = [...new Set(report.failures.map((failure) => failure.class))].join(' ');
  const rate = `${report.keysPerSecond.toLocaleString('en')} keys/s`;
  return [result, rate, sockets.join(' '), `${report.mover}: ${report.moverReason} ${classes}`];
}

async function moveFromAll(cluster: TestCluster, way: Way): Promise<void> {
  const target = await versionOf(cluster.masters[0] as Server);
  for (const binary of binaries) {
    // A build without TLS does not start with it.
    const started = await startServer({ binary, ...way.source.options }).catch(() => undefined);
    if (!started) continue;
    await using(Promise.resolve(started), async (source) => {
      const version = await versionOf(source);
      for (const mover of listed('MOVERS') ?? ['relay', 'migrate', 'auto']) {
        const cells = await move(source, cluster, mover, way).catch((error: unknown) => [
          String(error),
        ]);
        console.log(`| ${[version, target, mover, way.name, ...cells].join(' | ')} |`);
        const [outcome = '', , , by = ''] = cells;
        rows.push({ source: version, target, mover, way: way.name, outcome, by });
      }
    });
  }
}

const authority = await createAuthority();
const ways = waysOf(authority, await authority.sign(['127.0.0.1']));
console.log('| source | target | mover | auth, TLS | outcome | rate | sockets to each node | by |');
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
for (const way of ways) {
  if (listed('WAYS')?.includes(way.name) === false) continue;
  for (const binary of targets) {
    await using(startCluster({ binary, ...way.nodes.options }), (cluster) =>
      moveFromAll(cluster, way),
    );
  }
}
if (isOwn) writeCompatibility(rows);
process.exit();
