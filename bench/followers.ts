/**
 * `npm run bench -- followers [keys] [rates] [seconds] [rounds]`: how far behind its source each follower is while
 * a client writes to random keys at a fixed rate, and what that costs the source: this tool, RedisShake, and an
 * ordinary replica, in turn, each with a source of its own. `nobody` is the source alone.
 *
 * How far behind is seen from outside, the same way for all: a value is written to a key of its own at the
 * source, and looked for where it has to arrive.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fillStrings } from '../test/support/bulk.js';
import { type Server, startServer, using } from '../test/support/servers.js';
import { followers as all } from './followers/all.js';
import { present } from './contests.js';
import { withArena } from './lab/arena.js';
import { cpuSecondsOf } from './lab/cpu.js';
import { median } from './lab/medians.js';
import { peakBytesOf, usageOf } from './lab/process-usage.js';
import { say } from './lab/say.js';
import { startWriter } from './lab/writer.js';
import { short, table } from './report/table.js';
import type { Arena, Benchmark, Follower, Following } from './types.js';

const marker = 'how far behind';
const lookEveryMs = 1;
/** Whoever needs longer than this for what was left when the writing ended, has not kept up. */
const mostLeftMs = 1000;
const patienceMs = 120_000;

interface Measured {
  readonly writesPerSecond: number;
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  /** From the end of the writing until the last write had arrived. */
  readonly leftMs: number;
  /** The source's, for each write. */
  readonly sourceMicros: number;
  /** What clients' and replicas' buffers held at most at the source, its backlog included. */
  readonly sourceBuffersMb: number;
  /** Of the source, from before the follower came. */
  readonly forks: number;
  readonly followerMicros: number;
  readonly followerPeakMb: number;
}

interface Load {
  readonly keys: number;
  readonly rate: number;
  readonly seconds: number;
}

export const followers: Benchmark = {
  usage:
    '[keys] [rates, by commas] [seconds] [rounds] [followers, by commas]   (300000; 10000,50000; 10; 3; all if not given)',
  async run([keys = '300000', rates = '10000,50000', seconds = '10', rounds = '3', only = '']) {
    const names = only.split(',').filter(Boolean);
    const wanted = all.filter(({ name }) => names.length === 0 || names.includes(name));
    const ways = [undefined, ...present(wanted)];
    await withArena(async (arena) => {
      for (const rate of rates.split(',').map(Number)) {
        const measured = new Map<string, Measured[]>();
        for (let round = 0; round < Number(rounds); round++) {
          for (const follower of ways) {
            const load = { keys: Number(keys), rate, seconds: Number(seconds) };
            const one = await measure(arena, follower, load);
            const name = follower?.name ?? 'nobody';
            say(
              `${name}: ${short(one.writesPerSecond)} writes/s, ${short(one.lagP99Ms)} ms behind`,
            );
            measured.set(name, [...(measured.get(name) ?? []), one]);
          }
        }
        report(rate, measured);
      }
    });
  },
};

function report(rate: number, measured: ReadonlyMap<string, readonly Measured[]>): void {
  const names = [...measured.keys()];
  const first = measured.get(names[0] ?? '')?.[0];
  const rows = Object.keys(first ?? {}).map((figure) => [
    figure,
    ...names.map((name) =>
      short(median((measured.get(name) ?? []).map((one) => one[figure as keyof Measured]))),
    ),
  ]);
  const keptUp = names.map((name) => {
    const ones = measured.get(name) ?? [];
    const well = ones.filter(
      ({ writesPerSecond, leftMs }) => writesPerSecond > rate * 0.97 && !(leftMs > mostLeftMs),
    );
    return `${String(well.length)} of ${String(ones.length)}`;
  });
  console.log(`\n${rate.toLocaleString('en')} writes/s`);
  console.log(table(['', ...names], [...rows, ['rounds in which it kept up', ...keptUp]]));
}

async function measure(
  { cluster }: Arena,
  follower: Follower | undefined,
  load: Load,
): Promise<Measured> {
  await cluster.flush();
  return using(startServer(), async (source) => {
    await fillStrings(source, { count: load.keys, valueBytes: 64 });
    const forksBefore = await figure(source, 'total_forks');
    const directory = join(source.directory, 'follower');
    mkdirSync(directory);
    const following = await follower?.start({ source, cluster, directory });
    try {
      await following?.isFollowing();
      const under = await underLoad(source, following, load);
      return { ...under, forks: (await figure(source, 'total_forks')) - forksBefore };
    } finally {
      await following?.service.kill();
    }
  });
}

async function underLoad(
  source: Server,
  following: Following | undefined,
  load: Load,
): Promise<Omit<Measured, 'forks'>> {
  const { service } = following ?? {};
  const cpuBefore = await cpuSecondsOf([source]);
  const usedBefore = service ? usageOf(service.pid).cpuSeconds : NaN;
  const writer = startWriter(source, load);
  const lags: number[] = [];
  let [isOver, buffersBytes] = [false, 0];
  const watching = (async () => {
    while (!isOver) {
      buffersBytes = Math.max(buffersBytes, await buffersOf(source));
      await sleep(100);
    }
  })();
  const looking = (async () => {
    while (following && !isOver) {
      lags.push(await behindMs(source, following));
      await sleep(20);
    }
  })();
  try {
    await sleep(load.seconds * 1000);
  } finally {
    writer.stop();
    isOver = true;
  }
  await Promise.all([watching, looking]);
  const leftMs = following ? await behindMs(source, following) : NaN;
  const micros = (cpuSeconds: number): number => (cpuSeconds / writer.answered) * 1e6;
  lags.sort((one, other) => one - other);
  const at = (share: number): number => lags[Math.floor(lags.length * share)] ?? NaN;
  return {
    ...{ writesPerSecond: writer.writesPerSecond, leftMs },
    ...{ lagP50Ms: at(0.5), lagP99Ms: at(0.99), lagMaxMs: lags.at(-1) ?? NaN },
    sourceMicros: micros((await cpuSecondsOf([source])) - cpuBefore),
    sourceBuffersMb: buffersBytes / 1e6,
    followerMicros: service ? micros(usageOf(service.pid).cpuSeconds - usedBefore) : NaN,
    followerPeakMb: service ? (peakBytesOf(service.pid) ?? NaN) / 1e6 : NaN,
  };
}

let written = 0;

/** Writes a value at the source, and waits until it has arrived. */
async function behindMs(source: Server, { service, clientFor }: Following): Promise<number> {
  const value = String(++written);
  const startedMs = performance.now();
  await source.client.set(marker, value);
  const client = clientFor(marker);
  while ((await client.get(marker)) !== value) {
    if (service.hasEnded) throw new Error(`a follower has ended: ${service.lastLine()}`);
    if (performance.now() - startedMs > patienceMs) return Infinity;
    await sleep(lookEveryMs);
  }
  return performance.now() - startedMs;
}

async function figure({ client }: Server, name: string): Promise<number> {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(await client.info())?.[1] ?? 0);
}

async function buffersOf(source: Server): Promise<number> {
  const names = ['mem_clients_normal', 'mem_total_replication_buffers'];
  const sizes = await Promise.all(names.map((name) => figure(source, name)));
  return sizes.reduce((sum, size) => sum + size, 0);
}
