/**
 * Whether everything is there, and equal: from options to a report. The command line is a thin
 * translation to `verifyKeys`, which is also what the library exports.
 */
import { ConnectionError, ImportError, PreflightError, messageOf } from '../errors.js';
import { formatCount } from '../format.js';
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
} from './verify/verify-options.js';
import { openVerify, type VerifyScene } from './verify/scene.js';
import { showPassingLine } from '../watch/screen.js';
import { average } from '../watch/speed.js';
import type { Logger, Source } from '../types.js';
import type { VerifyParts } from '../verify/look.js';
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
    const progress = showVerifyProgress(parts, options.quiet ? undefined : context.stderr);
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

/** Shows how far verifying has come. */
function showVerifyProgress(
  { sources, masters, findings }: VerifyParts,
  stream: NodeJS.WritableStream | undefined,
): { stop(): void } {
  const rate = average();
  let last = { atMs: performance.now(), keys: 0 };

  function line(): string {
    const now = { atMs: performance.now(), keys: findings.compared };
    rate.add((now.keys - last.keys) / Math.max(1, now.atMs - last.atMs), now.atMs - last.atMs);
    last = now;
    const share = (shareOf(sources) + shareOf(masters)) / 2;
    return [
      `${(share * 100).toFixed(1)} %`,
      `${formatCount(findings.compared)} keys compared`,
      `${formatCount(findings.lookedBack)} looked back`,
      `${formatCount(rate.value() * 1000)} keys/s`,
      `${formatCount(findings.differences)} ${findings.differences === 1 ? 'difference' : 'differences'}`,
    ].join(' · ');
  }

  return showPassingLine(line, stream);
}

/** By their sizes: a small server that is done says little of the rest. */
function shareOf(listed: readonly { readonly keys: Source }[]): number {
  const all = listed.reduce((sum, { keys }) => sum + keys.estimatedKeys, 0);
  const done = listed.reduce((sum, { keys }) => sum + keys.estimatedKeys * keys.progress, 0);
  return all === 0 ? 1 : done / all;
}
