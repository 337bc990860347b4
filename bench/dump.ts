/**
 * `npm run bench:dump -- [keys]`: a dump straight into a cluster, against a server that loads it and
 * the import from that, both timed from the file on disk to the last key in the cluster.
 */
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillStrings } from '../test/support/bulk.js';
import { program } from '../test/support/cli.js';
import { startCluster, type TestCluster } from '../test/support/cluster.js';
import { startServer, using } from '../test/support/servers.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { megabytes, short, table } from './report/table.js';

const valueBytes = 64;
const keys = Number(process.argv[2] ?? 1_000_000);

interface Way {
  readonly name: string;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number | undefined;
}

async function importFrom(from: string, cluster: TestCluster): Promise<Omit<Way, 'name'>> {
  await cluster.flush();
  const state = join(folder, 'journal');
  const args = ['--from', from, '--to', cluster.seed, '--copy', '--quiet', '--state', state];
  const ended = await run({ program: process.execPath, args: [program, ...args] });
  if (ended.code !== 0) throw new Error(ended.stderr);
  if ((await cluster.size()) !== keys) throw new Error('not all keys arrived');
  return ended;
}

const folder = mkdtempSync(join(tmpdir(), 'cluster-import-bench-'));
try {
  const file = join(folder, 'dump.rdb');
  say(`a dump of ${keys.toLocaleString('en')} strings of ${String(valueBytes)} bytes`);
  await using(startServer(), async (server) => {
    await fillStrings(server, { count: keys, valueBytes });
    await server.client.call('SAVE');
    copyFileSync(join(server.directory, 'dump.rdb'), file);
  });
  say(`${megabytes(statSync(file).size)} MB`);
  const ways: Way[] = [];
  await using(startCluster(), async (cluster) => {
    say('straight from the file');
    ways.push({ name: 'the dump itself', ...(await importFrom(file, cluster)) });
    say('by a server that loads it');
    const startedMs = performance.now();
    const loading = startServer();
    await using(loading, async (server) => {
      copyFileSync(file, join(server.directory, 'dump.rdb'));
      // It starts empty, because its folder is made with it; DEBUG RELOAD would write the file anew.
      await server.crash();
      await server.revive();
      const loadedMs = performance.now() - startedMs;
      const way = await importFrom(server.address, cluster);
      ways.push({ name: 'loaded, then imported', ...way, seconds: way.seconds + loadedMs / 1000 });
    });
  });
  const rows = ways.map(({ name, seconds, cpuSeconds, peakBytes }) => [
    name,
    short(seconds),
    Math.round(keys / seconds).toLocaleString('en'),
    short((cpuSeconds / keys) * 1e6),
    megabytes(peakBytes),
  ]);
  const heads = ['way', 'seconds', 'keys/s', 'µs of client CPU per key', 'peak MB'];
  console.log(`\n${table(heads, rows)}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
