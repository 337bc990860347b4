/**
 * `npm run bench -- follow [keys] [writes/s] [cutovers] [seconds]`: how long writes are held for a cutover, and
 * how far the cluster is behind before it, while a client writes to random keys at a fixed rate. Each
 * cutover is one of a source and a cluster of their own, as the clients of a real one see it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../src/report.js';
import type { State } from '../src/watch/orders.js';
import { fillStrings } from '../test/support/bulk.js';
import { program, runCli } from '../test/support/cli.js';
import { type Server, startServer, using } from '../test/support/servers.js';
import { encode } from './lab/feed.js';
import { withArena } from './lab/arena.js';
import { median } from './lab/medians.js';
import { run } from './lab/process.js';
import { say } from './lab/say.js';
import { table } from './report/table.js';
import type { Benchmark } from './types.js';

/** What the client writes at one time, every so often. */
const everyMs = 2;

interface Cut {
  readonly heldMs: number;
  readonly longestWaitMs: number;
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly writesPerSecond: number;
  readonly peakMb: number;
  readonly forks: number;
}

export const follow: Benchmark = {
  usage: '[keys] [writes/s] [cutovers] [seconds]   (1000000, 10000, 5 and 5 if not given)',
  async run([keys = '1000000', rate = '10000', cutovers = '5', seconds = '5']) {
    const cuts: Cut[] = [];
    await withArena(async (arena) => {
      for (let round = 0; round < Number(cutovers); round++) {
        await arena.cluster.flush();
        await using(startServer(), async (source) => {
          await fillStrings(source, { count: Number(keys), valueBytes: 64 });
          const { to } = arena;
          const given = { source, to, keys: Number(keys), rate: Number(rate) };
          const cut = await cutOver({ ...given, followMs: Number(seconds) * 1000 });
          const [there, arrived] = [await source.client.dbsize(), await arena.cluster.size()];
          if (there !== arrived) {
            throw new Error(`the cluster has ${String(arrived)} keys of ${String(there)}`);
          }
          say(`held ${String(cut.heldMs)} ms`);
          cuts.push(cut);
        });
      }
    });
    const head = ['', 'median', 'most'];
    const rows = Object.keys(cuts[0] ?? {}).map((name) => {
      const values = cuts.map((cut) => cut[name as keyof Cut]);
      return [name, ...[median(values), Math.max(...values)].map((value) => value.toFixed(1))];
    });
    console.log(table(head, rows));
  },
};

interface Given {
  readonly source: Server;
  readonly to: string;
  readonly keys: number;
  readonly rate: number;
  readonly followMs: number;
}

async function cutOver({ source, to, keys, rate, followMs }: Given): Promise<Cut> {
  const runtime = mkdtempSync(join(tmpdir(), 'cluster-import-bench-'));
  const env = { XDG_RUNTIME_DIR: runtime };
  const writer = startWriter(source, keys, rate);
  try {
    const files = ['--state', join(runtime, 'journal')];
    const words = [...['--from', source.address, '--to', to, '--follow'], ...files];
    const args = ['XDG_RUNTIME_DIR=' + runtime, process.execPath, program, ...words];
    const running = run({ program: 'env', args: [...args, '--json', '--quiet'] });
    const phase = async (): Promise<string | undefined> => {
      const { code, stdout } = await runCli(['ctl', 'status', '--json'], env);
      return code === 0 ? (JSON.parse(stdout) as State).follow?.phase : undefined;
    };
    while ((await phase()) !== 'following') await sleep(200);
    await sleep(followMs);
    const { code, stderr } = await runCli(['ctl', 'cutover'], env);
    if (code !== 0) throw new Error(stderr);
    const ended = await running;
    if (ended.code !== 0) throw new Error(ended.stderr);
    const { follow: told } = JSON.parse(ended.stdout) as Report;
    const info = await source.client.info('stats');
    return {
      heldMs: told?.cutover?.heldMs ?? NaN,
      longestWaitMs: writer.longestWaitMs,
      lagP50Ms: told?.lagMs.p50 ?? NaN,
      lagP99Ms: told?.lagMs.p99 ?? NaN,
      lagMaxMs: told?.lagMs.max ?? NaN,
      writesPerSecond: writer.writesPerSecond,
      peakMb: (ended.peakBytes ?? NaN) / 1e6,
      forks: Number(/total_forks:(\d+)/.exec(info)?.[1] ?? NaN),
    };
  } finally {
    writer.stop();
    rmSync(runtime, { recursive: true });
  }
}

/** Writes at a rate until it is refused. */
function startWriter({ host, port }: Server, keys: number, rate: number) {
  const socket = connect({ host, port, noDelay: true });
  const startedMs = performance.now();
  let [sent, answered, longestWaitMs, seconds] = [0, 0, 0, 0];
  /** When each answer that is owed was asked for, and how many with it. */
  const owed: { readonly atMs: number; readonly upTo: number }[] = [];
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    const nowMs = performance.now();
    if (chunk.includes('-NOREPLICAS')) stop();
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) answered++;
    while (owed[0] && owed[0].upTo <= answered) {
      longestWaitMs = Math.max(longestWaitMs, nowMs - owed[0].atMs);
      owed.shift();
    }
  });
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * rate);
    const pieces: Buffer[] = [];
    while (sent < due) {
      const key = `key:${String(Math.floor(Math.random() * keys))}`;
      pieces.push(encode(['SET', key, String(++sent)]));
    }
    if (pieces.length === 0) return;
    owed.push({ atMs: performance.now(), upTo: sent });
    socket.write(Buffer.concat(pieces));
  }, everyMs);
  function stop(): void {
    if (seconds === 0) seconds = (performance.now() - startedMs) / 1000;
    clearInterval(timer);
    socket.destroy();
  }
  return {
    stop,
    get longestWaitMs() {
      return longestWaitMs;
    },
    get writesPerSecond() {
      return answered / (seconds || 1);
    },
  };
}
