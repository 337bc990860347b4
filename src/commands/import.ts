/**
 * The main job from its first check to its report. The command line is a thin translation to
 * `importKeys`, which is also what the library exports.
 */
import { open, writeFile } from 'node:fs/promises';
import type { Throttle } from '../engine/throttle.js';
import { ImportError, UsageError } from '../errors.js';
import { type GivenOptions, type ImportOptions, readOptions } from '../options.js';
import { buildReport, type Report, type RunEnd } from '../report.js';
import type { Logger } from '../types.js';
import { version } from '../version.js';
import { type Assembled, assemble } from './assemble.js';
import { type Books, openBooks } from './bookkeeping.js';
import { bringFunctions } from './functions.js';
import { nameTypes } from './modules.js';
import { preflight, type Ready } from './preflight.js';
import { createVoice, type Voice } from './voice.js';
import { tellStart, type Watch, watchRun } from './watch.js';

/** The live things that come with the options. All may be left out. */
export interface ImportContext {
  /** Once aborted, the batches in flight are finished and the report tells what is left. */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** Where progress is shown; without it there is none. */
  readonly stderr?: NodeJS.WritableStream | undefined;
  /** Called when the run begins, with what holds it and lets it go on. */
  readonly onStart?: ((throttle: Throttle) => void) | undefined;
  /** Called as soon as the report is there, which may be long before the metrics have lingered. */
  readonly onReport?: ((report: Report) => void) | undefined;
}

/**
 * Moves the keys. A run that had to stop midway resolves too: its report has the status `failed`.
 * @throws UsageError or PreflightError when it could not start; nothing was moved then.
 */
export async function importKeys(
  given: GivenOptions,
  context: ImportContext = {},
): Promise<Report> {
  const options = readOptions(given);
  const signal = context.signal ?? new AbortController().signal;
  const voice = createVoice(context.stderr, context.logger);
  if (options.report !== undefined) await checkWritable(options.report);
  const warnings: string[] = [];
  const warn = (sentence: string): void => {
    warnings.push(sentence);
    voice.logger.warn({}, sentence);
  };
  const facts = await preflight(options, warn);
  let watch: Watch | undefined;
  let books: Books | undefined;
  try {
    books = await openBooks(facts, options, voice.logger);
    const { ready } = books;
    const functions = await bringFunctions(ready, options, warn);
    const engine = assemble(ready, options, voice.logger, books.extras);
    try {
      watch = await watchRun({ engine, ready, options, voice, warnings, signal });
      tellStart(ready, engine, options, voice);
      context.onStart?.(engine.throttle);
      const cut = await run(engine, books, signal);
      const end = runEnd(ready, engine, options, cut, warnings);
      const whole = { ...end, functions, earlier: books.earlier };
      const built = buildReport(engine.tally.snapshot(), whole);
      const failures = await nameTypes(built.failures, ready.source.control);
      const report = { ...built, failures };
      await books.end(report.status);
      watch.hush(report);
      if (options.report !== undefined) await writeReport(report, options.report, voice);
      context.onReport?.(report);
      return report;
    } finally {
      engine.close();
    }
  } finally {
    await books?.close();
    facts.source.control.close();
    // Nothing of the servers is held any more while others look at how it ended.
    await watch?.linger();
    watch?.close();
  }
}

/**
 * Runs the engine to its end, on the books. @returns why it had to stop, if it had to.
 * @throws UsageError when the journal can't be written; nothing was moved then.
 */
async function run(engine: Assembled, books: Books, signal: AbortSignal): Promise<RunEnd['cut']> {
  const stop = new AbortController();
  let lost: ImportError | undefined;
  await books.begin(engine, (error) => {
    lost = error;
    stop.abort();
  });
  try {
    await engine.run(AbortSignal.any([signal, stop.signal]));
    if (lost) return { error: lost.message };
    return signal.aborted ? 'interrupted' : undefined;
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    return { error: error instanceof ImportError ? words : `Something unforeseen: ${words}` };
  }
}

function runEnd(
  ready: Ready,
  engine: Assembled,
  options: ImportOptions,
  cut: RunEnd['cut'],
  warnings: readonly string[],
): RunEnd {
  return {
    from: [ready.source.name],
    to: ready.target.name,
    mode: options.copy ? 'copy' : 'move',
    mover: engine.mover.name,
    moverReason: engine.mover.reason,
    version,
    warnings,
    endedAtMs: Date.now(),
    cut,
  };
}

/** Found out before the start: a report that can't be written after hours would be too late. */
async function checkWritable(path: string): Promise<void> {
  try {
    await (await open(path, 'a')).close();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--report can't be written (${words}): choose another file.`);
  }
}

async function writeReport(report: Report, path: string, { logger }: Voice): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`);
  } catch (error) {
    // The report itself is not lost: it is what the call gives back.
    const words = error instanceof Error ? error.message : String(error);
    logger.warn({}, `the report could not be written to ${path}: ${words}`);
  }
}
