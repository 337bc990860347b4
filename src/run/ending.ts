/** The report of a run, made from how its sources ended. */
import type { JobOptions, SelectionOptions } from '../options/options.js';
import {
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
import { accountFor, nextCommand } from './proof.js';
import type { SourceEnd } from './source-run.js';
import type { SourceRuns } from './source-runs.js';
import type { Facts } from '../plan/preflight.js';
import { isServer, type SourceFacts } from '../plan/source-facts.js';
import { jobModeOf } from '../plan/options-checks.js';

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
  const sourceKeys = facts.sources.every(isServer)
    ? facts.sources.reduce((sum, { keys }) => sum + keys, 0)
    : null;
  const whole = buildReport(snapshot, {
    ...common,
    ...more,
    from: runs.all.map(({ source }) => source.name),
    mover: mover.name,
    moverReason: mover.reason,
    cut,
    held,
    accounted: accountFor(snapshot, files, sourceKeys, options),
    next: nextCommand(statusOf(snapshot, cut), facts, options),
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
