/**
 * `npm run bench -- latency [options]`: what a client of the source has to wait while its keys are moved, and how
 * fast they are moved meanwhile: by redis-cli, and by this tool as it is, at full speed, and with
 * `--max-source-latency`. Ways take turns; medians of the rounds are told.
 *
 * Beside the source the same probe asks a server that nobody else uses. Source, nodes, importer and
 * probes share one machine here; what that other server's client has to wait is the machine's doing, and
 * nobody's limit can go below it.
 */
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { program } from '../test/support/cli.js';
import { type Server, startServer, using } from '../test/support/servers.js';
import { datasets } from './datasets/all.js';
import { withArena } from './lab/arena.js';
import { median } from './lab/medians.js';
import { startProbe } from './lab/probe.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { chosen } from './options.js';
import { short, table } from './report/table.js';
import { redisCli } from './rivals/redis-cli.js';
import type { Arena, Benchmark, Dataset, Invocation, Latency } from './types.js';

const usage = `[options]

  --keys <n>       how many are moved (default: 1000000)
  --data <name>    ${datasets.map(({ name }) => name).join(', ')} (default: mix)
  --rounds <n>     (default: 1)
  --gets <n>       what the client asks the source for in a second (default: 5000)
  --limit <ms>     of the way with a limit (default: 5)
  --only <title>   ways whose title has this in it`;

export const latency: Benchmark = { usage, run: measureLatency };

const idleMs = 10_000;
/** As a rate is what counts, the slow one moves fewer. */
const mostOfRedisCli = 100_000;

interface Seen {
  readonly source: Latency;
  readonly other: Latency;
}

interface Way {
  readonly title: string;
  readonly keys: number;
  readonly args: readonly string[];
  readonly rates: number[];
  readonly seen: Seen[];
}

function waysOf(keys: number, limitMs: string): readonly Way[] {
  const way = (title: string, count: number, args: readonly string[] = []): Way => {
    return { title, keys: count, args, rates: [], seen: [] };
  };
  return [
    way('default', keys),
    way('relay, --max-source-latency off', keys, ['--max-source-latency', 'off']),
    way(`relay, --max-source-latency ${limitMs}`, keys, ['--max-source-latency', limitMs]),
    way(redisCli.title, Math.min(keys, mostOfRedisCli)),
  ];
}

async function measureLatency(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: 'string', default: '1000000' },
      data: { type: 'string', default: 'mix' },
      rounds: { type: 'string', default: '1' },
      gets: { type: 'string', default: '5000' },
      limit: { type: 'string', default: '5' },
      only: { type: 'string', default: '' },
    },
  });
  const [dataset] = chosen('--data', values.data, datasets) as [Dataset];
  const all = waysOf(Number(values.keys), values.limit);
  const ways = all.filter(({ title }) => title.includes(values.only));
  const perSecond = Number(values.gets);
  await withArena((arena) =>
    using(startServer(), async (other) => {
      const idle: Seen[] = [];
      for (let round = 1; round <= Number(values.rounds); round++) {
        await using(startServer(), async (source) => {
          idle.push(await probed(source, other, perSecond, () => setTimeout(idleMs)));
        });
        for (const way of ways) {
          say(`round ${String(round)}: ${way.title}, ${way.keys.toLocaleString('en')} keys`);
          await measure(way, dataset, arena, other, perSecond);
        }
      }
      const slow = ways.find(({ title }) => title === redisCli.title);
      const rows = ways.map(({ title, rates, seen }) => {
        const rate = Math.round(median(rates)).toLocaleString('en');
        const ratio = slow ? median(rates) / median(slow.rates) : NaN;
        return [title, rate, Number.isNaN(ratio) ? '' : `${ratio.toFixed(1)} ×`, ...waits(seen)];
      });
      const head = ['', 'keys/s', 'redis-cli', 'p50 ms', 'p99 ms', 'longest ms', 'p99 elsewhere'];
      console.log(table(head, [['idle', '', '', ...waits(idle)], ...rows]));
    }),
  );
}

async function measure(
  { title, keys, args, rates, seen }: Way,
  dataset: Dataset,
  arena: Arena,
  other: Server,
  perSecond: number,
): Promise<void> {
  await arena.cluster.flush();
  await using(startServer(), async (source) => {
    await dataset.fill(source, keys);
    const ours = await invocation(title, args, dataset, arena, source);
    const waited = await probed(source, other, perSecond, async () => {
      const ended = await run(ours);
      if (ended.code !== 0) throw new Error(`${title}: ${ended.stderr.slice(-500)}`);
      rates.push(keys / ended.seconds);
    });
    seen.push(waited);
    const left = await source.client.dbsize();
    if (left > 0) throw new Error(`${title} left ${String(left)} keys`);
  });
}

function invocation(
  title: string,
  args: readonly string[],
  dataset: Dataset,
  { to }: Arena,
  source: Server,
): Promise<Invocation> {
  if (title === redisCli.title) {
    const scene = { source, from: source.address, to, directory: source.directory, dataset };
    return redisCli.prepare(scene);
  }
  const words = ['--from', source.address, '--to', to, '--mover', 'relay', '--quiet', '--json'];
  return Promise.resolve({ program: process.execPath, args: [program, ...words, ...args] });
}

async function probed(
  source: Server,
  other: Server,
  perSecond: number,
  work: () => Promise<unknown>,
): Promise<Seen> {
  const probes = await Promise.all([startProbe(source, perSecond), startProbe(other)]);
  for (const probe of probes) probe.record();
  await work();
  const [atSource, elsewhere] = await Promise.all(probes.map((probe) => probe.stop()));
  return { source: atSource as Latency, other: elsewhere as Latency };
}

/** Medians over the rounds. */
function waits(seen: readonly Seen[]): string[] {
  const of = (read: (one: Seen) => number): string => short(median(seen.map(read)));
  return [
    of(({ source }) => source.p50Ms),
    of(({ source }) => source.p99Ms),
    of(({ source }) => source.maxMs),
    of(({ other }) => other.p99Ms),
  ];
}
