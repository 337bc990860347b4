/**
 * Whether everything is there, and equal: from options to a report. The command line is a thin
 * translation to `verifyKeys`, which is also what the library exports.
 */
import { ConnectionError, ImportError, PreflightError, messageOf } from '../errors.js';
import { version } from '../installed.js';
import {
  createFindings,
  differenceFile,
  type DifferenceFile,
  type ReportedDifference,
  reportedDifference,
} from '../verify/differences.js';
import { buildVerifyReport, type VerifyReport } from '../verify/verify-report.js';
import { verifyAll } from '../verify/both-ways.js';
import {
  type GivenVerifyOptions,
  readVerifyOptions,
  type VerifyOptions,
} from '../options/verb-options.js';
import { openVerify, type VerifyScene } from './verify/scene.js';
import { screenOf } from '../watch/screen.js';
import type { Logger } from '../types.js';
import { showVerify, watchVerify } from './verify/verify-view.js';
import { createRepair, type Repair } from './verify/repair.js';

/** The live things that come with the options. All may be left out. */
export interface VerifyContext {
  /** Once aborted, what is under way is finished, and the report says how far it came. */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** Where progress is shown; undefined: it is not shown. */
  readonly stderr?: NodeJS.WritableStream | undefined;
  /** Called with each difference as it is found, whatever a repair makes of it later. */
  readonly onDifference?: ((difference: ReportedDifference) => void) | undefined;
}

/**
 * Compares in both directions. A run that had to stop midway resolves too, with the status `failed`.
 * @throws UsageError or PreflightError when it could not start.
 */
export async function verifyKeys(
  given: GivenVerifyOptions,
  context: VerifyContext = {},
): Promise<VerifyReport> {
  return runVerify(readVerifyOptions(given), context);
}

/** The same with options that have been read. */
export async function runVerify(
  options: VerifyOptions,
  context: VerifyContext,
): Promise<VerifyReport> {
  const signal = context.signal ?? new AbortController().signal;
  const warnings: string[] = [];
  const warn = (sentence: string): void => {
    warnings.push(sentence);
    context.logger?.warn({}, sentence);
  };
  let scene: VerifyScene;
  try {
    scene = await openVerify(options, warn, signal);
  } catch (error) {
    throw asPreflightError(error);
  }
  const startedAtMs = Date.now();
  let file: DifferenceFile | undefined;
  let repair: Repair | undefined;
  try {
    file = options.differences === undefined ? undefined : differenceFile(options.differences);
    repair = options.repair ? createRepair(options, scene) : undefined;
    const findings = createFindings((difference) => {
      file?.add(difference, scene.databases[difference.source ?? 0] ?? 0);
      repair?.add(difference);
      context.onDifference?.(reportedDifference(difference));
    });
    const parts = { ...scene.parts, findings };
    const watched = { ...scene.parts, from: scene.names, to: scene.seed, findings };
    const isShown = !options.quiet && context.stderr !== undefined;
    const screen = isShown ? screenOf(context.stderr) : undefined;
    const progress = showVerify(watchVerify(watched), screen);
    let cut: 'interrupted' | { error: string } | undefined;
    let shown = findings;
    try {
      await verifyAll(parts, signal);
      if (repair && !signal.aborted) shown = await repair.run(parts, signal, context);
      if (signal.aborted) cut = 'interrupted';
    } catch (error) {
      cut = { error: wordsOf(error) };
    } finally {
      progress.stop();
    }
    return buildVerifyReport(shown, {
      ...{ from: scene.names, to: scene.seed, share: parts.share, fast: options.fast },
      ...{ startedAtMs, endedAtMs: Date.now(), warnings, cut, version },
    });
  } finally {
    file?.close();
    repair?.close();
    scene.close();
  }
}

function wordsOf(error: unknown): string {
  const words = messageOf(error);
  return error instanceof ImportError ? words : `Unexpected error: ${words}`;
}

/** Nothing has been looked at yet: the exit code says so. */
function asPreflightError(error: unknown): unknown {
  const isOurs = error instanceof ImportError || error instanceof ConnectionError;
  if (!isOurs || error.exitCode === 2) return error;
  return new PreflightError(error.message, { cause: error });
}
