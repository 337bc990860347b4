/**
 * A round: a server is filled at random and writes its data to a file, the file is imported into an
 * empty cluster, and what arrived is compared with the server's own data, value for value.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importKeys } from '../../src/commands/start-import.js';
import { verifyKeys } from '../../src/commands/verify.js';
import { findRedis } from '../../scripts/find-redis.mjs';
import type { Random } from '../support/random.js';
import { rewrite, saveTo } from '../support/rdb.js';
import type { TestCluster } from '../support/cluster.js';
import type { Server } from '../support/servers.js';
import { forgetRuns } from '../support/state.js';
import { fillAtRandom } from './data.js';

/** How a server writes its data. */
export const writings = [
  'SAVE',
  'commands as they came',
  'rewritten, with a dump',
  'rewritten as commands',
] as const;
export type Writing = (typeof writings)[number];

/** What the server has to be started with: else what it writes may be late. */
export const writingConfig = [
  'appendfsync no',
  'appendonly yes',
  'save ""',
  'auto-aof-rewrite-percentage 0',
];

interface Theatre {
  readonly source: Server;
  readonly cluster: TestCluster;
}

export interface Round {
  readonly keys: number;
  /** `mover` of the import. */
  readonly mover: string;
  readonly encodings: ReadonlySet<string>;
}

/** @throws Error that says what differs. */
export async function playRound(
  { source, cluster }: Theatre,
  writing: Writing,
  random: Random,
  count: number,
): Promise<Round> {
  const { client } = source;
  await Promise.all([client.flushall(), cluster.flush()]);
  forgetRuns();
  // A new base, without what earlier rounds have done.
  await rewriteWith('no', source);
  const folder = mkdtempSync(join(tmpdir(), 'cluster-import-round-'));
  try {
    await fillAtRandom(client, random, count);
    const file = await write(source, writing, folder);
    const keys = await client.dbsize();
    const report = await importKeys({
      from: [file],
      to: cluster.seed,
      redisServer: findRedis('redis-server') ?? '',
      quiet: true,
    });
    if (report.status !== 'complete' || report.keys.moved !== keys) {
      throw new Error(
        `${writing}: ${report.status}, ${String(report.keys.moved)} of ${String(keys)}`,
      );
    }
    const found = await verifyKeys({ from: source.address, to: cluster.seed, quiet: true });
    // A server that loads commands loses count of what groups have read, and so has what is moved.
    const others = found.differences.filter(({ message }) => !/^entries-read of/.test(message));
    if (others.length > 0 || found.keys.compared !== keys) {
      throw new Error(`${writing}: ${JSON.stringify(found.differences.slice(0, 5))}`);
    }
    return { keys, mover: report.mover, encodings: await encodingsOf(source) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function write(source: Server, writing: Writing, folder: string): Promise<string> {
  if (writing === 'SAVE') return saveTo(join(folder, 'dump.rdb'), source);
  if (writing === 'rewritten, with a dump') await rewriteWith('yes', source);
  if (writing === 'rewritten as commands') await rewriteWith('no', source);
  const copy = join(folder, 'appendonlydir');
  cpSync(join(source.directory, 'appendonlydir'), copy, { recursive: true });
  return copy;
}

async function rewriteWith(preamble: 'yes' | 'no', source: Server): Promise<void> {
  await source.client.config('SET', 'aof-use-rdb-preamble', preamble);
  await rewrite(source);
}

async function encodingsOf({ client }: Server): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const keys = await client.keysBuffer('*');
  await Promise.all(
    keys.map(async (key) => {
      const [type, encoding] = await Promise.all([
        client.type(key),
        client.object('ENCODING', key),
      ]);
      found.add(`${type} ${String(encoding)}`);
    }),
  );
  return found;
}
