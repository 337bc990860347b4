/**
 * The main job from its first check to its report: what the command line and the library
 * (start-import.ts) run.
 */
import { access, open, rm, writeFile } from 'node:fs/promises';
import { type ImportError, PreflightError, UsageError, messageOf } from '../errors.js';
import { formatCount } from '../format.js';
import type { Standing } from '../watch/live.js';
import type { ImportOptions, PatienceOptions } from '../options/options.js';
import { type Held, type Report, type ReportedFailure, reportedFailure } from '../report.js';
import { heldNow, reportOf } from '../run/ending.js';
import type { Logger } from '../types.js';
import { type JobFiles, noJobFiles, openJobFiles } from '../run/job-files.js';
import { riskOfMigrate } from '../run/choose-mover.js';
import { type EvictionWatch, watchEviction } from '../run/eviction.js';
import { bringFunctions } from '../run/functions.js';
import type { SourceEnd } from '../run/source-run.js';
import {
  createSourceRuns,
  type RunEnded,
  runSources,
  type SourceRuns,
} from '../run/source-runs.js';
import { asPreflightError, type Facts, preflight } from '../plan/preflight.js';
import { byServer, isServer } from '../plan/source-facts.js';
import { findServers, finishCutover, type OpenWrites } from '../follow/half-done.js';
import { openWritesOf } from '../run/following.js';
import {
  announce,
  announceNow,
  createReporter,
  type Reporter,
  tellStart,
  type Watch,
  watchRun,
} from '../run/watch.js';
import type { Steering } from '../run/steer.js';
import { openSpread, type Spread } from '../workers/spread.js';
import { createSpreadRuns } from '../workers/spread-runs.js';

/** The live things that come with the options. All may be left out. */
export interface ImportContext {
  /** Once aborted, the batches in flight are finished and the report says what is left. */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** Where progress is shown; undefined: it is not shown. */
  readonly stderr?: NodeJS.WritableStream | undefined;
}

/** What those who run it hear besides. */
export interface RunContext extends ImportContext {
  /** What the keys of the terminal do, for the view; undefined: they do nothing. */
  readonly hint?: string | undefined;
  /** Called when the run begins, ahead of the first key. */
  readonly onStart?: ((started: StartedRun) => void) | undefined;
  /** Called with each sentence of the report's `warnings`. */
  readonly onWarning?: ((sentence: string) => void) | undefined;
  /** Called with each key that is left behind. */
  readonly onFailure?: ((failure: ReportedFailure) => void) | undefined;
  /** Called as soon as the report is there, which may be long before the metrics have lingered. */
  readonly onReport?: ((report: Report) => void) | undefined;
}

export interface StartedRun {
  readonly steering: Steering;
  /** How the run stands at this moment. */
  now(): Standing;
  /** @throws ImportError when the run does not follow its source, or could not cut over. */
  cutOver(): Promise<void>;
  /**
   * Lets writes go on that a cutover holds.
   * @param why one clause in plain English.
   * @throws UsageError when the run does not follow its source.
   */
  letWrite(why: string): Promise<void>;
}

/**
 * Moves the keys. A run that had to stop midway resolves too: its report has the status `failed`.
 * @throws UsageError or PreflightError when it could not start, StoppedError when the signal came
 *   before that; nothing was moved then.
 */
export async function runImport(read: ImportOptions, context: RunContext = {}): Promise<Report> {
  // A dry run needs no more rights than a copy.
  const asked = read.dryRun
    ? { ...read, copy: true, functions: false }
    : { ...read, copy: read.copy || read.follow };
  const stopper = new AbortController();
  const signal = AbortSignal.any([stopper.signal, ...(context.signal ? [context.signal] : [])]);
  const reporter = createReporter(context.stderr, context.logger);
  if (asked.report !== undefined) await checkWritable(asked.report);
  const warnings: string[] = [];
  const warn = (sentence: string): void => {
    warnings.push(sentence);
    reporter.logger.warn({}, sentence);
    context.onWarning?.(sentence);
  };
  const told = {
    ...{ warn, signal },
    tell(sentence: string) {
      if (!asked.quiet) announce(reporter, sentence, {});
    },
    announce(sentence: string, fields: object) {
      if (asked.quiet) reporter.logger.info(fields, sentence);
      else announceNow(reporter, sentence, fields);
    },
  };
  const facts = await preflight(asked, told);
  // From files nothing is ever deleted.
  const options = facts.sources.every(({ isFile }) => isFile) ? { ...asked, copy: true } : asked;
  let watch: Watch | undefined;
  let files: JobFiles | undefined;
  let eviction: EvictionWatch | undefined;
  let spread: Spread | undefined;
  try {
    spread = await beforeStart(openSpread(facts, options, told));
    // Ahead of what the cluster's keys mean: after a cutover it is full of them.
    const followed = options.follow ? openWrites(facts, options) : [];
    const found = await beforeStart(findServers(followed));
    files = options.dryRun
      ? noJobFiles(facts, options)
      : await beforeStart(openJobFiles(facts, options, reporter.logger, spread?.storeFor));
    if (files.plan.decision.goesOn) await beforeStart(finishCutover(found));
    const risk = riskOfMigrate(facts.target, options);
    if (risk !== undefined) warn(risk);
    const functions = await beforeStart(bringFunctions(facts, options, warn));
    eviction = watchEviction(facts, options);
    const { logger } = reporter;
    const plan = { ...files.plan, options };
    const runs = spread
      ? createSpreadRuns(facts, plan, spread.runner, {
          logger,
          warn,
          tell(sentence) {
            told.tell(sentence);
          },
          announce(sentence, fields) {
            told.announce(sentence, fields);
          },
        })
      : createSourceRuns(facts, plan, { logger, eviction, reporter: told, ...files.keys });
    try {
      await beforeStart(runs.join(signal));
      watch = await watchRun({
        runs,
        facts,
        options,
        reporter,
        warnings,
        signal,
        hint: context.hint,
        stop() {
          stopper.abort();
        },
      });
      tellStart(facts, runs, options, reporter);
      if (context.onFailure) hearFailures(runs, context.onFailure);
      context.onStart?.(watch);
      const count = () => (options.dryRun ? undefined : heldNow(facts, files as JobFiles));
      const ended = await run({ facts, runs, eviction }, files, signal, count);
      checkBegun(runs, ended.ends);
      const { earlier } = files;
      if (options.allowEviction) tellEvicted(ended.evicted, warn);
      const { extremes } = watch;
      const ending = { ...ended, functions, earlier, warnings, files, extremes };
      const report = await reportOf(runs, facts, options, ending);
      await files.end(report.status);
      watch.hush(report);
      if (options.report !== undefined) await writeReport(report, options.report, reporter);
      context.onReport?.(report);
      return report;
    } finally {
      runs.close();
    }
  } finally {
    eviction?.close();
    await files?.close();
    const staying = await spread?.runner.close();
    // The report is out by now.
    if (staying !== undefined) announce(reporter, staying, {});
    facts.close();
    // Nothing of the servers is held any more while others look at how it ended.
    await watch?.linger();
    watch?.close();
  }
}

/** How each server is reached where its writes are held. */
function openWrites({ sources }: Facts, { timeoutMs }: PatienceOptions): OpenWrites[] {
  const servers = byServer(sources.filter(isServer), (source) => source);
  return servers.flatMap(([first]) => (first ? [openWritesOf(first, timeoutMs)] : []));
}

/** A server that is lost here is a reason not to begin: nothing was moved. */
async function beforeStart<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw asPreflightError(error);
  }
}

/**
 * Runs the sources to their end, and keeps the job's files.
 * @param count asks both sides what they hold now.
 * @throws UsageError when the journal can't be written; nothing was moved then.
 */
async function run(
  started: Parameters<typeof runSources>[0],
  files: JobFiles,
  signal: AbortSignal,
  count: () => Promise<Held> | undefined,
): Promise<RunEnded> {
  const stop = new AbortController();
  let lost: ImportError | undefined;
  await files.begin(started.runs, (error) => {
    lost = error;
    stop.abort();
  });
  const ended = await runSources(started, signal, { stop, count });
  return { ...ended, error: lost?.message ?? ended.error };
}

/** In the terms of the report: with several sources, a failure names its own. */
function hearFailures({ all }: SourceRuns, hear: (failure: ReportedFailure) => void): void {
  for (const { source, tally } of all) {
    const from = all.length > 1 ? { from: source.name } : {};
    tally.onFailure((failure) => {
      hear({ ...from, ...reportedFailure(failure) });
    });
  }
}

function tellEvicted(evicted: Report['evicted'], warn: (sentence: string) => void): void {
  for (const { address, keys } of evicted ?? []) {
    warn(`${address} evicted ${formatCount(keys)} keys while the run lasted (--allow-eviction).`);
  }
}

/** @throws PreflightError when the run could not read one of its sources, and has moved nothing. */
function checkBegun(runs: SourceRuns, ends: readonly SourceEnd[]): void {
  const unknown = ends.find(({ isUnknown }) => isUnknown === true);
  if (unknown?.error === undefined || runs.tally.snapshot().scanned > 0) return;
  throw new PreflightError(`--from ${unknown.error}`);
}

/** Found out before the start: a report that can't be written after hours would be too late. */
async function checkWritable(path: string): Promise<void> {
  try {
    const isNew = await access(path).then(
      () => false,
      () => true,
    );
    await (await open(path, 'a')).close();
    // A run that is refused must not leave what looks like a report.
    if (isNew) await rm(path);
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`--report can't be written (${words}): choose another file.`);
  }
}

async function writeReport(report: Report, path: string, { logger }: Reporter): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`);
  } catch (error) {
    // The report itself is not lost: it is what the call gives back.
    const words = messageOf(error);
    logger.warn({}, `the report could not be written to ${path}: ${words}`);
  }
}
