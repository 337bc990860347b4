/**
 * The main job from its first check to its report. The command line is a thin translation to
 * `importKeys`, which is also what the library exports.
 */
import { open, writeFile } from 'node:fs/promises';
import { ImportError, UsageError } from '../errors.js';
import { serveMetrics } from '../monitor/http.js';
import { probeLatency } from '../monitor/latency.js';
import { createMetrics } from '../monitor/metrics.js';
import { showProgress } from '../monitor/progress.js';
import { type GivenOptions, type ImportOptions, readOptions } from '../options.js';
import { buildReport, type Report, type RunEnd } from '../report.js';
import type { Tally } from '../types.js';
import { version } from '../version.js';
import { type Assembled, assemble } from './assemble.js';
import { preflight, type Ready } from './preflight.js';

/** What pino's loggers are, as far as it is used here. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The live things that come with the options. All may be left out. */
export interface ImportContext {
  /** Once aborted, the batches in flight are finished and the report tells what is left. */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** Where progress is shown; without it there is none. */
  readonly stderr?: NodeJS.WritableStream | undefined;
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
  if (options.report !== undefined) await checkWritable(options.report);
  const warnings: string[] = [];
  const ready = await preflight(options, (sentence) => {
    warnings.push(sentence);
    context.stderr?.write(`WARNING: ${sentence}\n`);
    context.logger?.warn({}, sentence);
  });
  try {
    const engine = assemble(ready, options);
    try {
      const cut = await watched(engine, ready, options, { ...context, signal });
      const end = runEnd(
        ready,
        engine,
        options,
        cut ?? (signal.aborted ? 'interrupted' : undefined),
        warnings,
      );
      const report = buildReport(engine.tally.snapshot(), end);
      if (options.report !== undefined) await writeReport(report, options.report, context);
      return report;
    } finally {
      engine.close();
    }
  } finally {
    ready.source.control.close();
  }
}

/** Runs the engine under the eyes of whoever wants to see it. */
async function watched(
  engine: Assembled,
  ready: Ready,
  options: ImportOptions,
  context: ImportContext & { readonly signal: AbortSignal },
): Promise<RunEnd['cut']> {
  const metrics = await startMetrics(engine.tally, ready, options, context);
  const progress =
    context.stderr && !options.quiet ? showProgress(engine.tally, context.stderr) : undefined;
  try {
    await engine.run(context.signal);
    return undefined;
  } catch (error) {
    context.logger?.error({ err: error }, 'the run had to stop');
    const words = error instanceof Error ? error.message : String(error);
    return { error: error instanceof ImportError ? words : `Something unforeseen: ${words}` };
  } finally {
    progress?.stop();
    metrics?.stop();
  }
}

async function startMetrics(
  tally: Tally,
  ready: Ready,
  { metrics: where }: ImportOptions,
  { stderr, logger }: ImportContext,
): Promise<{ stop(): void } | undefined> {
  if (where === undefined) return undefined;
  const metrics = createMetrics(tally);
  const server = await serveMetrics(metrics.registry, where);
  const probe = probeLatency(
    () => ready.source.control.call('PING'),
    (seconds) => {
      metrics.sourceLatency(seconds);
    },
  );
  stderr?.write(`Metrics: ${server.url}\n`);
  logger?.info({ url: server.url }, 'serving metrics');
  return {
    stop() {
      probe.stop();
      server.close();
    },
  };
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

async function writeReport(report: Report, path: string, context: ImportContext): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`);
  } catch (error) {
    // The report itself is not lost: it is what the call gives back.
    const words = error instanceof Error ? error.message : String(error);
    context.stderr?.write(`The report could not be written to ${path}: ${words}\n`);
    context.logger?.warn({ err: error }, 'the report could not be written');
  }
}
