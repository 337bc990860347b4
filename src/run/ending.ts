/** The report of a run, made from how its sources ended. */
import type { JobOptions, SelectionOptions } from '../options/options.js';
import {
  type Accounted,
  buildReport,
  type Found,
  type Held,
  type Report,
  type RunEnd,
  statusOf,
} from '../report.js';
import { version } from '../installed.js';
import { nameTypes } from '../plan/payloads.js';
import type { JobFiles } from './job-files.js';
import type { SourceEnd } from './source-run.js';
import type { SourceRuns } from './source-runs.js';
import type { Facts } from '../plan/preflight.js';
import { isServer, keyCountOf, type SourceFacts } from '../plan/source-facts.js';
import { jobModeOf } from '../plan/options-checks.js';
import { within } from '../async.js';
import { withControl } from '../redis/control.js';
import type { TallySnapshot } from '../types.js';

/** The report has room for so many failures. */
const keptFailures = 100;

/** What a run was, besides its sources. */
export interface Ending extends Pick<
  RunEnd,
  'functions' | 'earlier' | 'warnings' | 'evicted' | 'extremes'
> {
  readonly files: Pick<JobFiles, 'earlier' | 'atFirstStart'>;
  readonly ends: readonly SourceEnd[];
  readonly endedAtMs: number;
  /** What both sides held then; undefined: nobody asked. */
  readonly held: Held | undefined;
  readonly interrupted: boolean;
  /** Why all of it had to stop, if it had to. */
  readonly error: string | undefined;
}

export async function reportOf(
  runs: SourceRuns,
  facts: Facts,
  options: JobOptions & SelectionOptions & { readonly onlyKeys?: string | undefined },
  { ends, endedAtMs, held, interrupted, error, files, ...more }: Ending,
): Promise<Report> {
  const { mover } = runs;
  const common = {
    to: facts.target.name,
    mode: modeOf(options),
    version,
    endedAtMs,
  } as const;
  const cutOf = (words: string | undefined): RunEnd['cut'] => {
    if (error !== undefined) return { error };
    if (words !== undefined) return { error: words };
    return interrupted ? 'interrupted' : undefined;
  };
  const reports = await Promise.all(
    ends.map(async ({ run, error: words }) => {
      const { source } = run;
      const { name } = source;
      const identity = { mover: run.mover.name, moverReason: run.mover.reason };
      const end = { ...common, ...identity, from: [name], cut: cutOf(words) };
      const report = buildReport(run.tally.snapshot(), end);
      return { ...report, failures: await namedFailures(report.failures, source) };
    }),
  );
  const [only] = reports;
  const several = reports.length > 1;
  const errors = ends.flatMap(({ run, error: words }) =>
    words === undefined ? [] : [several ? `${run.source.name}: ${words}` : words],
  );
  const snapshot = runs.tally.snapshot();
  const cut = cutOf(errors.length > 0 ? errors.join(' ') : undefined);
  // A run that found no key that was wanted proves nothing.
  const isTaken = snapshot.scanned > 0 || more.earlier !== undefined || options.follow;
  const sourceKeys = facts.sources.every(isServer) ? keyCountOf(facts.sources) : null;
  const whole = buildReport(snapshot, {
    ...common,
    ...more,
    from: runs.all.map(({ source }) => source.name),
    mover: mover.name,
    moverReason: mover.reason,
    cut,
    held,
    accounted: accountFor(snapshot, files, sourceKeys, options),
    next: isTaken ? nextCommand(statusOf(snapshot, cut), facts, options) : undefined,
    found: options.dryRun ? foundBy(runs) : undefined,
    follow: runs.follow?.status,
    isEmpty: more.earlier === undefined && facts.sources.every((source) => source.isEmpty),
    isFinal: ends.some(({ isFinal }) => isFinal === true),
    sources: several
      ? reports.map(({ from, status, mover: name, moverReason, keys, bytes, error: words }) => ({
          ...{ from: from[0] ?? '', status, mover: name, moverReason, keys, bytes },
          ...(words !== undefined && { error: words }),
        }))
      : undefined,
  });
  if (only && !several) return { ...whole, failures: only.failures };
  const failures = reports.flatMap(({ from: [from = ''], failures: own }) =>
    own.map((failure) => ({ from, ...failure })),
  );
  return { ...whole, failures: failures.slice(0, keptFailures) };
}

/** With the types of their keys, as far as a server can be asked for them. */
function namedFailures(
  failures: Report['failures'],
  source: SourceFacts,
): Promise<Report['failures']> {
  return isServer(source) ? nameTypes(failures, source.control) : Promise.resolve(failures);
}

export function modeOf(options: JobOptions): Report['mode'] {
  return options.dryRun ? 'dry-run' : jobModeOf(options);
}

function foundBy({ all }: SourceRuns): Found {
  const types: Record<string, number> = {};
  for (const { census } of all) {
    for (const [type, count] of census.types) types[type] = (types[type] ?? 0) + count;
  }
  const present = all.reduce((sum, { census }) => sum + census.present, 0);
  const shared = all.reduce((sum, { census }) => sum + census.shared, 0);
  return { types, present, ...(all.length > 1 && { shared }) };
}

/*
 * What shows at the end that all is well: how many keys both sides hold by their own count, what the runs of
 * the job account for all together, and the command by which anybody can see for themselves.
 */

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
      return withControl(
        topology.endpointOf(node),
        {
          side: 'to',
          timeoutMs: patienceMs,
        },
        (control) => control.call('DBSIZE'),
      );
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
function accountFor(
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
function nextCommand(
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
