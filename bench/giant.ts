/**
 * One giant value: how long the source stands still while it is moved in slices, and what it costs in
 * memory. Beside it the same without slices, if there is patience for that.
 *
 *   node --import tsx bench/giant.ts [fields] [--whole]
 */
import { setPriority } from 'node:os';
import { withArena } from './lab/arena.js';
import { startProbe } from './lab/probe.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { megabytes, short, table } from './report/table.js';
import { program } from '../test/support/cli.js';
import { startServer, using } from '../test/support/servers.js';

const [given, ...flags] = process.argv.slice(2);
const fields = Number(given ?? 5_000_000);
const fillAtOnce = 10_000;
const fill = `for i = ARGV[1], ARGV[2] do
  redis.call('HSET', KEYS[1], 'field:' .. i, 'a value of some length: ' .. i)
end`;
const key = 'giant';

await withArena(async ({ cluster, to }) => {
  const rows: string[][] = [];
  for (const [title, ...more] of [
    ['in slices', '--split-above', '64mb'],
    ...(flags.includes('--whole') ? [['in one piece']] : []),
  ]) {
    await cluster.flush();
    await using(startServer(), async (source) => {
      for (let from = 1; from <= fields; from += fillAtOnce) {
        await source.client.eval(fill, 1, key, from, Math.min(fields, from + fillAtOnce - 1));
      }
      say(`${title ?? ''}: ${fields.toLocaleString('en')} fields`);
      // The source's pauses are asked for, not its waiting for a core that others have.
      if (process.getuid?.() === 0) setPriority(source.pid, -10);
      const probe = await startProbe(source);
      probe.record();
      const args = [program, '--from', source.address, '--to', to, '--timeout', '2m', ...more];
      const { code, seconds, peakBytes, stderr } = await run({ program: process.execPath, args });
      const latency = await probe.stop();
      const arrived = await cluster.clientFor(key).hlen(key);
      if (code !== 0 || arrived !== fields) throw new Error(`${String(arrived)} came: ${stderr}`);
      const pauses = [latency.p50Ms, latency.p99Ms, latency.maxMs].map(short);
      rows.push([title ?? '', short(seconds), ...pauses, megabytes(peakBytes)]);
    });
  }
  const head = ['', 'seconds', 'source p50 ms', 'p99 ms', 'longest ms', 'peak MB'];
  console.log(table(head, rows));
});
