/**
 * One giant value: how long the source stands still while it is moved in slices, and what it costs in
 * memory. The same of Redis 8, whose giants are found without --split-above, if it is installed. Beside it the same
 * without slices, if there is patience for that.
 *
 *   npm run bench -- giant [fields] [--whole]
 *
 * In slices the source must stand still for less than 50 ms, and the process stay under 200 MB.
 */
import { setPriority } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { findTool } from '../scripts/find-tools.mjs';
import { withArena } from './lab/arena.js';
import { startProbe } from './lab/probe.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { megabytes, short, table } from './report/table.js';
import { program } from '../test/support/cli.js';
import { type Server, startServer, using } from '../test/support/servers.js';
import type { Benchmark } from './types.js';

const fillAtOnce = 10_000;
const fill = `for i = ARGV[1], ARGV[2] do
  redis.call('HSET', KEYS[1], 'field:' .. i, 'a value of some length: ' .. i)
end`;
const key = 'giant';
const inOnePiece = 'in one piece';
const idleMs = 10_000;
const longestPauseMs = 50;
const mostBytes = 200e6;

export const giant: Benchmark = {
  usage: '[fields] [--whole]   (5000000 if not given; --whole moves it in one piece as well)',
  run: (args) => {
    const [fields = '5000000'] = args.filter((word) => word !== '--whole');
    return measureGiant(Number(fields), args.includes('--whole'));
  },
};

async function measureGiant(fields: number, alsoWhole: boolean): Promise<void> {
  await withArena(async ({ cluster, to }) => {
    const rows: string[][] = [];
    const inSlices = ['--split-above', '1mb'];
    const redis8 = findTool('redis-8');
    for (const { title, binary, more } of [
      { title: 'in slices', binary: undefined, more: inSlices },
      ...(redis8 === undefined
        ? []
        : [{ title: 'of Redis 8, by itself', binary: redis8, more: [] }]),
      ...(alsoWhole ? [{ title: inOnePiece, binary: undefined, more: [] }] : []),
    ]) {
      await cluster.flush();
      await using(startServer(binary === undefined ? {} : { binary }), async (source) => {
        for (let from = 1; from <= fields; from += fillAtOnce) {
          await source.client.eval(fill, 1, key, from, Math.min(fields, from + fillAtOnce - 1));
        }
        say(`${title}: ${fields.toLocaleString('en')} fields`);
        // The source's pauses are asked for, not its waiting for a core that others have.
        if (process.getuid?.() === 0) setPriority(source.pid, -15);
        await source.client.config('SET', 'slowlog-log-slower-than', 500);
        await source.client.slowlog('RESET');
        await idle(source, rows);
        const probe = await startProbe(source);
        probe.record();
        const args = [program, '--from', source.address, '--to', to, '--timeout', '2m', ...more];
        const { code, seconds, peakBytes, stderr } = await run({ program: process.execPath, args });
        const latency = await probe.stop();
        const arrived = await cluster.clientFor(key).hlen(key);
        if (code !== 0 || arrived !== fields) throw new Error(`${String(arrived)} came: ${stderr}`);
        const commandMs = await longestCommandMs(source);
        const pauses = [latency.p50Ms, latency.p99Ms, latency.maxMs, commandMs].map(short);
        if (
          title !== inOnePiece &&
          (commandMs >= longestPauseMs || (peakBytes ?? 0) >= mostBytes)
        ) {
          say(`${title}: the source stood still for too long, or the process took too much`);
          process.exitCode = 1;
        }
        rows.push([title, short(seconds), ...pauses, megabytes(peakBytes)]);
      });
    }
    const head = [
      '',
      'seconds',
      'source p50 ms',
      'p99 ms',
      'longest ms',
      'longest command ms',
      'peak MB',
    ];
    console.log(table(head, rows));
  });
}

/** What the machine itself adds: the same probe while nothing is moved. */
async function idle(source: Server, rows: string[][]): Promise<void> {
  const probe = await startProbe(source);
  probe.record();
  await setTimeout(idleMs);
  const { p50Ms, p99Ms, maxMs } = await probe.stop();
  rows.push(['idle', short(idleMs / 1000), ...[p50Ms, p99Ms, maxMs].map(short), '', '']);
}

/** By the source's own clock. */
async function longestCommandMs(source: Server): Promise<number> {
  const log = (await source.client.call('SLOWLOG', 'GET', 1000)) as [number, number, number][];
  return Math.max(0, ...log.map(([, , micros]) => micros / 1000));
}
