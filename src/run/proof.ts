/**
 * What shows at the end that all is well: how many keys both sides hold by their own count, what the runs of
 * the job account for all together, and the command by which anybody can see for themselves.
 */
import { within } from '../async.js';
import type { JobOptions, SelectionOptions } from '../options/options.js';
import type { Facts } from '../plan/preflight.js';
import { isServer } from '../plan/source-facts.js';
import { openControl } from '../redis/control.js';
import type { Accounted, Held, Report } from '../report.js';
import type { TallySnapshot } from '../types.js';
import type { JobFiles } from './job-files.js';

/** A server that does not answer by then is not waited for: the report is worth more than this number. */
const patienceMs = 2000;

/** Asks both sides how many keys they hold. */
export async function heldNow(
  facts: Facts,
  { atFirstStart }: Pick<JobFiles, 'atFirstStart'>,
): Promise<Held> {
  const [sources, cluster] = await Promise.all([
    within(patienceMs, keysOfSources(facts), null).catch(() => null),
    within(patienceMs, keysOfCluster(facts), null).catch(() => null),
  ]);
  return {
    sources: { atStart: atFirstStart.sourceKeys, now: sources },
    cluster: { atStart: atFirstStart.clusterKeys, now: cluster },
  };
}

async function keysOfSources({ sources }: Facts): Promise<number | null> {
  if (!sources.every(isServer)) return null;
  const counts = await Promise.all(sources.map(({ control }) => control.call('DBSIZE')));
  return sum(counts);
}

/** Of the masters of this moment. */
async function keysOfCluster({ target: { topology } }: Facts): Promise<number> {
  await topology.refresh();
  const counts = await Promise.all(
    topology.masters.map(async (node) => {
      const control = await openControl(topology.endpointOf(node), {
        side: 'to',
        timeoutMs: patienceMs,
      });
      try {
        return await control.call('DBSIZE');
      } finally {
        control.close();
      }
    }),
  );
  return sum(counts);
}

function sum(counts: readonly unknown[]): number {
  return counts.reduce<number>((total, count) => total + Number(count), 0);
}

/**
 * What all runs of the job account for. Keys that left the source in earlier runs are told by what was there at
 * the first start and at this one: a run that was killed could not write all of it down.
 * @param sourceKeys what the sources held at this start; null: nobody knows.
 */
export function accountFor(
  { scanned }: Pick<TallySnapshot, 'scanned'>,
  { earlier, atFirstStart }: Pick<JobFiles, 'earlier' | 'atFirstStart'>,
  sourceKeys: number | null,
  options: JobOptions & SelectionOptions & { readonly onlyKeys?: string | undefined },
): Accounted | undefined {
  const runs = (earlier?.runs ?? 0) + 1;
  if (options.dryRun || options.follow) return undefined;
  const first = selectsSome(options) ? null : atFirstStart.sourceKeys;
  if (options.copy && earlier) {
    // Where it went on, keys may have been listed twice, once by each run.
    const keys = earlier.moved + scanned;
    return { keys: first === null ? keys : Math.min(first, keys), of: first, runs };
  }
  const before = first === null || sourceKeys === null ? earlier?.moved : first - sourceKeys;
  const keys = (earlier ? Math.max(earlier.moved, before ?? 0) : 0) + scanned;
  // What clients have written since is accounted for as well.
  return { keys, of: first === null ? null : Math.max(first, keys), runs };
}

function selectsSome(
  options: SelectionOptions & { readonly onlyKeys?: string | undefined },
): boolean {
  const { match, exclude, type, minTtlMs, onlyKeys } = options;
  return match.length + exclude.length + type.length > 0 || minTtlMs > 0 || onlyKeys !== undefined;
}

/** The command that comes next; undefined: no command does. */
export function nextCommand(
  status: Report['status'],
  { sources, target }: Facts,
  options: JobOptions & SelectionOptions,
): string | undefined {
  if (status !== 'complete' || options.dryRun) return undefined;
  if (!options.copy || options.follow) return words('check', '--to', target.name);
  // What was read from standard input can't be read again.
  if (sources.some(({ name }) => name === '-')) return words('check', '--to', target.name);
  return words(
    'verify',
    ...sources.flatMap(({ name }) => ['--from', name]),
    '--to',
    target.name,
    ...options.match.flatMap((glob) => ['--match', glob]),
    ...options.exclude.flatMap((glob) => ['--exclude', glob]),
    ...options.type.flatMap((type) => ['--type', type]),
    ...(options.minTtlMs > 0 ? ['--min-ttl', `${String(options.minTtlMs)}ms`] : []),
    ...(options.keyPrefix === undefined ? [] : ['--key-prefix', options.keyPrefix]),
  );
}

function words(...all: readonly string[]): string {
  return ['cluster-import', ...all.map(quoted)].join(' ');
}

/** As a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
