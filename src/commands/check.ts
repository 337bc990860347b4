/** Whether a cluster is sound: from options to a report, and stray keys moved to their owners on request. */
import { clusterAccessRows } from '../options/access.js';
import { type FixedKeys, fixKeys } from '../check/fix-keys.js';
import { mere, type ProblemKind, problemsOf } from '../check/problems.js';
import { buildCheckReport, type CheckReport, type Fix } from '../check/check-report.js';
import { type Survey, survey } from '../check/survey.js';
import { ImportError, PreflightError } from '../errors.js';
import { formatCount } from '../format.js';
import { showPassingLine } from '../watch/screen.js';
import { importRows } from '../options/options.js';
import { parseNat } from '../redis/endpoint.js';
import { flag, type Given, given, readRows, type Rows, type Values } from '../options/rows.js';
import type { Logger } from '../types.js';
import { version } from '../installed.js';
import { insecurity, readSeed } from '../plan/endpoints.js';

export const checkRows = {
  /** Any node of the cluster. */
  to: given({ flag: '--to <endpoint>', help: 'any node of the cluster' }),
  ...clusterAccessRows,
  fixKeys: flag(
    {
      flag: '--fix-keys',
      help: 'move keys that lie on a node which does not own their slot to the one that does',
    },
    false,
  ),
  timeoutMs: importRows.timeoutMs,
} satisfies Rows;

export type CheckOptions = Values<typeof checkRows>;
export type GivenCheckOptions = Given<typeof checkRows, 'to'>;

export interface CheckContext {
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** Where is shown how far moving keys to their owners has come; without it, nowhere. */
  readonly stderr?: NodeJS.WritableStream | undefined;
}

/** With any of these it is not known where keys belong. */
const hinderFixing: ReadonlySet<ProblemKind> = new Set([
  'slots-uncovered',
  'slots-disputed',
  'views-differ',
  'node-unreachable',
  'node-failing',
  'epochs-collide',
]);

/**
 * Tells whether a cluster is sound, and moves stray keys to their owners if that is asked for.
 * @throws UsageError or PreflightError when the cluster can't be asked at all.
 */
export async function checkCluster(
  given: GivenCheckOptions,
  context: CheckContext = {},
): Promise<CheckReport> {
  return runCheck(readCheckOptions(given), context);
}

/** @throws UsageError naming the flag. */
export function readCheckOptions(options: Readonly<Record<string, unknown>>): CheckOptions {
  return readRows(checkRows, options);
}

/** The same with options that have been read. */
export async function runCheck(options: CheckOptions, context: CheckContext): Promise<CheckReport> {
  const to = await readSeed(options.to, options);
  const risk = insecurity(to, 'to');
  if (risk !== undefined) context.logger?.warn({}, risk);
  const look = () => survey(to, { timeoutMs: options.timeoutMs, nat: options.nat.map(parseNat) });
  const first = await look().catch((error: unknown) => {
    if (!(error instanceof ImportError) || error.exitCode === 2) throw error;
    throw new PreflightError(error.message, { cause: error });
  });
  if (!options.fixKeys) return buildCheckReport(first, undefined, version);
  const fix = await fixed(first, options.timeoutMs, context);
  return buildCheckReport(await look(), fix, version);
}

async function fixed(
  found: Survey,
  timeoutMs: number,
  { signal, stderr }: CheckContext,
): Promise<Fix> {
  const keys: FixedKeys = { moved: 0, deleted: 0 };
  const hindrance = problemsOf(found).find(({ kind }) => !mere.has(kind) && hinderFixing.has(kind));
  if (hindrance) {
    return { keys, error: `repair the cluster first, no key was touched: ${hindrance.message}` };
  }
  const progress = showFixing(found, keys, stderr);
  try {
    await fixKeys(found, {
      timeoutMs,
      fixed: keys,
      signal: signal ?? new AbortController().signal,
    });
    return { keys, error: signal?.aborted ? 'interrupted; the same command goes on.' : undefined };
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    return { keys, error: error.message };
  } finally {
    progress.stop();
  }
}

/** How many of the stray keys are at their owners. */
function showFixing(
  { nodes }: Survey,
  keys: FixedKeys,
  stream: NodeJS.WritableStream | undefined,
): { stop(): void } {
  const strays = nodes.flatMap((node) => node.strays).reduce((sum, stray) => sum + stray.keys, 0);
  return showPassingLine(
    () =>
      `${formatCount(keys.moved + keys.deleted)} of ${formatCount(strays)} stray keys moved to their owners`,
    stream,
  );
}
