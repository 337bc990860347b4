/**
 * `npm run bench -- latency [keys] [limit ms] [title]`: what a client of the source has to wait while
 * its keys are moved: by redis-cli, and by this tool as it is, at full speed, and with `--max-source-latency`.
 *
 * Beside the source the same probe asks a server that nobody else uses. Source, nodes, importer and
 * probes share one machine here; what that other server's client has to wait is the machine's doing, and nobody's limit can
 * go below it.
 */
import { setTimeout } from 'node:timers/promises';
import { mix } from './datasets/mix.js';
import { withArena } from './lab/arena.js';
import { startProbe } from './lab/probe.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { short, table } from './report/table.js';
import { redisCli } from './rivals/redis-cli.js';
import { program } from '../test/support/cli.js';
import { type Server, startServer, using } from '../test/support/servers.js';
import type { Arena, Benchmark, Invocation, Latency } from './types.js';

const idleMs = 10_000;

interface Seen {
  readonly source: Latency;
  readonly other: Latency;
}

interface Entry {
  readonly title: string;
  readonly keys: number;
  readonly args: readonly string[];
}

export const latency: Benchmark = {
  usage: '[keys] [limit ms] [title]   (1000000, 5, and all titles if not given)',
  run: ([keys = '1000000', limitMs = '5', only = '']) =>
    measureLatency(entriesOf(Number(keys), limitMs).filter(({ title }) => title.includes(only))),
};

function entriesOf(keys: number, limitMs: string): readonly Entry[] {
  return [
    { title: 'default', keys, args: [] },
    {
      title: 'relay, --max-source-latency off',
      keys,
      args: ['--max-source-latency', 'off'],
    },
    {
      title: `relay, --max-source-latency ${limitMs}`,
      keys,
      args: ['--max-source-latency', limitMs],
    },
    // As a rate is what counts, the slow one moves fewer.
    { title: redisCli.title, keys: Math.min(keys, 100_000), args: [] },
  ];
}

async function measureLatency(entries: readonly Entry[]): Promise<void> {
  await withArena((arena) =>
    using(startServer(), async (other) => {
      const rows: string[][] = [];
      await using(startServer(), async (source) => {
        rows.push(row('idle', '', await probed(source, other, () => setTimeout(idleMs))));
      });
      for (const entry of entries) {
        await arena.cluster.flush();
        await using(startServer(), async (source) => {
          say(`${entry.title}: ${entry.keys.toLocaleString('en')} keys`);
          await mix.fill(source, entry.keys);
          let seconds = 0;
          const seen = await probed(source, other, async () => {
            const ended = await run(await invocation(entry, arena, source));
            if (ended.code !== 0) throw new Error(`${entry.title}: ${ended.stderr.slice(-500)}`);
            ({ seconds } = ended);
          });
          const left = await source.client.dbsize();
          if (left > 0) throw new Error(`${entry.title} left ${String(left)} keys`);
          rows.push(row(entry.title, Math.round(entry.keys / seconds).toLocaleString('en'), seen));
        });
      }
      const head = ['', 'keys/s', 'p50 ms', 'p99 ms', 'longest ms', 'p99 ms elsewhere'];
      console.log(table(head, rows));
    }),
  );
}

function invocation({ title, args }: Entry, arena: Arena, source: Server): Promise<Invocation> {
  const { to } = arena;
  if (title === redisCli.title) {
    const scene = { source, from: source.address, to, directory: source.directory, dataset: mix };
    return redisCli.prepare(scene);
  }
  const words = ['--from', source.address, '--to', to, '--mover', 'relay', '--quiet', '--json'];
  return Promise.resolve({ program: process.execPath, args: [program, ...words, ...args] });
}

async function probed(source: Server, other: Server, work: () => Promise<unknown>): Promise<Seen> {
  const probes = await Promise.all([startProbe(source), startProbe(other)]);
  for (const probe of probes) probe.record();
  await work();
  const [atSource, elsewhere] = await Promise.all(probes.map((probe) => probe.stop()));
  return { source: atSource as Latency, other: elsewhere as Latency };
}

function row(title: string, rate: string, { source, other }: Seen): string[] {
  const numbers = [source.p50Ms, source.p99Ms, source.maxMs, other.p99Ms];
  return [title, rate, ...numbers.map(short)];
}
