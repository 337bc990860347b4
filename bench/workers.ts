/**
 * `npm run bench -- workers [keys] [rounds] [most]`: what it costs to spread a move over processes: 1, 2, 4 … sources
 * of so many keys each, with as many workers; and two sources with one and with two. Ways take turns. Where cores are
 * few, the CPU tells what the clock can't.
 */
import { fillStrings } from '../test/support/bulk.js';
import { program } from '../test/support/cli.js';
import { type Server, startServer } from '../test/support/servers.js';
import { withArena } from './lab/arena.js';
import { median } from './lab/medians.js';
import { run } from './lab/process.js';
import { short } from './report/table.js';
import type { Benchmark } from './types.js';

export const workers: Benchmark = {
  usage: '[keys of each source] [rounds] [most sources]   (1000000, 3 and 8 if not given)',
  run: ([keys = '1000000', rounds = '3', most = '8']) =>
    measureWorkers(Number(keys), Number(rounds), Number(most)),
};

interface Way {
  readonly title: string;
  readonly sources: number;
  readonly workers: number;
  readonly seconds: number[];
  readonly cpuSeconds: number[];
}

async function measureWorkers(keys: number, rounds: number, most: number): Promise<void> {
  const ways: Way[] = [];
  const add = (sources: number, count: number): void => {
    const title = `${String(sources)} sources, ${String(count)} workers`;
    ways.push({ title, sources, workers: count, seconds: [], cpuSeconds: [] });
  };
  add(1, 1);
  add(2, 1);
  for (let count = 2; count <= most; count *= 2) add(count, count);
  const servers = await Promise.all(Array.from({ length: most }, () => startServer()));
  try {
    await withArena(async ({ cluster, to }) => {
      for (let round = 1; round <= rounds; round++) {
        for (const way of ways) {
          await cluster.flush();
          const sources = servers.slice(0, way.sources);
          await fill(sources, keys);
          const from = sources.flatMap(({ address }) => ['--from', address]);
          const words = ['--mover', 'relay', '--quiet', '--json', '--workers', String(way.workers)];
          const args = [program, ...from, '--to', to, ...words];
          const result = await run({ program: process.execPath, args });
          if (result.code !== 0) throw new Error(`${way.title}: ${result.stdout}${result.stderr}`);
          way.seconds.push(result.seconds);
          way.cpuSeconds.push(result.cpuSeconds);
        }
      }
    });
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
  const [alone] = ways as [Way, ...Way[]];
  for (const way of ways) {
    const cpu = (median(way.cpuSeconds) / (keys * way.sources)) * 1e6;
    const ratio = median(way.cpuSeconds) / way.sources / median(alone.cpuSeconds);
    console.log(
      `${way.title}: ${short(cpu)} CPU seconds a million keys (${ratio.toFixed(2)} of one process), ${median(way.seconds).toFixed(1)} s`,
    );
  }
}

/** So that no two have a key of one name. */
async function fill(sources: readonly Server[], keys: number): Promise<void> {
  for (const [at, source] of sources.entries()) {
    await source.client.flushall();
    await fillStrings(source, { count: keys, valueBytes: 64, prefix: `${String(at)}:` });
  }
}
