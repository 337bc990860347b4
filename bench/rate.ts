/**
 * `npm run bench -- rate [keys/s] [seconds]`: whether `--max-rate` holds. What arrives in the cluster
 * is counted from outside, for half a minute; it must be within five percent.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { strings64 } from './datasets/strings.js';
import { withArena } from './lab/arena.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { program } from '../test/support/cli.js';
import { startServer, using } from '../test/support/servers.js';
import type { Benchmark } from './types.js';

const tolerance = 0.05;
const dataset = strings64;

interface Reading {
  readonly atMs: number;
  readonly keys: number;
}

export const rate: Benchmark = {
  usage: '[keys/s] [seconds]   (20000 and 30 if not given)',
  run: ([givenRate = '20000', givenSeconds = '30']) =>
    measureRate(Number(givenRate), Number(givenSeconds)),
};

async function measureRate(rate: number, seconds: number): Promise<void> {
  const readings = await withArena(({ cluster, to }) =>
    using(startServer(), async (source) => {
      // It must not end before the time is over.
      await dataset.fill(source, Math.ceil(rate * (seconds + 5)));
      say(`${String(seconds)} s at ${rate.toLocaleString('en')} keys/s`);
      const words = ['--from', source.address, '--to', to, '--max-rate', String(rate), '--quiet'];
      const running = run({ program: process.execPath, args: [program, ...words] });
      const read = async (): Promise<Reading> => {
        const before = performance.now();
        const keys = await cluster.size();
        return { atMs: (before + performance.now()) / 2, keys };
      };
      let first = await read();
      while (first.keys === 0) {
        await delay(10);
        first = await read();
      }
      const all = [first];
      for (let second = 1; second <= seconds; second++) {
        await delay(Math.max(0, first.atMs + second * 1000 - performance.now()));
        all.push(await read());
      }
      const { code, stderr } = await running;
      if (code !== 0) throw new Error(stderr);
      return all;
    }),
  );

  const each = readings.slice(1).map((one, at) => rateBetween(readings[at] ?? one, one));
  const whole = rateBetween(readings[0] as Reading, readings.at(-1) as Reading);
  const off = whole / rate - 1;
  console.log(
    `over ${String(seconds)} s: ${whole.toFixed(0)} keys/s, ${(off * 100).toFixed(2)} % off`,
  );
  console.log(`single seconds: ${Math.min(...each).toFixed(0)} to ${Math.max(...each).toFixed(0)}`);
  console.log(Math.abs(off) <= tolerance ? 'held' : 'NOT held');
  process.exitCode = Math.abs(off) <= tolerance ? 0 : 1;
}

function rateBetween(from: Reading, to: Reading): number {
  return ((to.keys - from.keys) * 1000) / (to.atMs - from.atMs);
}
