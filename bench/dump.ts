/**
 * `npm run bench -- dump --keys 5000000 --rounds 3`: a dump straight into a cluster, against a server
 * that loads it and the import from that, both timed from the file on disk to the last key in the
 * cluster. The two take turns, after one round to warm up; medians are shown. What reading the dump takes
 * alone stands beside them: by so much can storing from several processes never be faster.
 */
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fillStrings } from '../test/support/bulk.js';
import { program } from '../test/support/cli.js';
import { startCluster, type TestCluster } from '../test/support/cluster.js';
import { saveTo } from '../test/support/rdb.js';
import { startServer, using } from '../test/support/servers.js';
import { knownMedian, median } from './lab/medians.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { megabytes, short, table } from './report/table.js';
import type { Benchmark } from './types.js';

const valueBytes = 64;

export const dump: Benchmark = {
  usage: '[--keys <n>] [--rounds <n>]   (5000000 and 3 if not given)',
  run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        keys: { type: 'string', default: '5000000' },
        rounds: { type: 'string', default: '3' },
      },
    });
    return measureDump(Number(values.keys), Number(values.rounds));
  },
};

interface Way {
  readonly name: string;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number | undefined;
}

/** What both ways are measured with. */
interface Lab {
  readonly cluster: TestCluster;
  readonly folder: string;
  readonly keys: number;
}

async function measureDump(keys: number, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-bench-'));
  try {
    const file = join(folder, 'dump.rdb');
    say(`a dump of ${keys.toLocaleString('en')} strings of ${String(valueBytes)} bytes`);
    await using(startServer(), async (server) => {
      await fillStrings(server, { count: keys, valueBytes });
      await saveTo(file, server);
    });
    say(`${megabytes(statSync(file).size)} MB`);
    const ways = await using(startCluster(), (cluster) =>
      inTurn({ cluster, folder, keys }, file, rounds),
    );
    report(ways, keys);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function inTurn(lab: Lab, file: string, rounds: number): Promise<readonly Way[]> {
  const ways: Way[] = [];
  const way = async (name: string, made: Promise<Omit<Way, 'name'>>): Promise<Way> => {
    const one = { name, ...(await made) };
    say(`${name}: ${short(one.seconds)} s`);
    return one;
  };
  // The first round is there to warm up, unless it is the only one.
  for (let round = rounds > 1 ? 0 : 1; round <= rounds; round++) {
    const all = [
      await way('the dump, only read', read(file, lab)),
      await way('the dump itself', importFrom(file, lab)),
      await way('loaded, then imported', loadAndImport(file, lab)),
    ];
    if (round > 0) ways.push(...all);
  }
  return ways;
}

/** Reads all of it, and stores nothing. */
function read(from: string, lab: Lab): Promise<Omit<Way, 'name'>> {
  return copyFrom(from, lab, '--dry-run');
}

async function importFrom(from: string, lab: Lab): Promise<Omit<Way, 'name'>> {
  const { cluster, keys } = lab;
  await cluster.flush();
  const ended = await copyFrom(from, lab);
  if ((await cluster.size()) !== keys) throw new Error('not all keys arrived');
  return ended;
}

async function copyFrom(
  from: string,
  { cluster, folder }: Lab,
  ...words: readonly string[]
): Promise<Omit<Way, 'name'>> {
  const state = join(folder, 'journal');
  const args = ['--from', from, '--to', cluster.seed, '--copy', '--quiet', '--state', state];
  const ended = await run({ program: process.execPath, args: [program, ...args, ...words] });
  if (ended.code !== 0) throw new Error(ended.stderr);
  return ended;
}

/** From the start of a server on the file on. */
async function loadAndImport(file: string, lab: Lab): Promise<Omit<Way, 'name'>> {
  const startedMs = performance.now();
  return using(startServer(), async (server) => {
    copyFileSync(file, join(server.directory, 'dump.rdb'));
    // It starts empty, because its folder is made with it; DEBUG RELOAD would write the file anew.
    await server.crash();
    await server.revive();
    const loadedMs = performance.now() - startedMs;
    const way = await importFrom(server.address, lab);
    return { ...way, seconds: way.seconds + loadedMs / 1000 };
  });
}

function report(ways: readonly Way[], keys: number): void {
  const rows = [...new Set(ways.map(({ name }) => name))].map((name) => {
    const own = ways.filter((way) => way.name === name);
    const seconds = median(own.map((way) => way.seconds));
    const cpuSeconds = median(own.map((way) => way.cpuSeconds));
    return [
      name,
      short(seconds),
      Math.round(keys / seconds).toLocaleString('en'),
      short((cpuSeconds / keys) * 1e6),
      megabytes(knownMedian(own.map((way) => way.peakBytes))),
    ];
  });
  const heads = ['way', 'seconds', 'keys/s', 'µs of client CPU per key', 'peak MB'];
  console.log(`\n${table(heads, rows)}`);
}
