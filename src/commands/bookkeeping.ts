/**
 * What a run keeps in files beside its report: the journal, by which the same command goes on, and
 * the keys that failed. And what it learns from such files: how far earlier runs have come, and
 * which keys alone are to be done.
 */
import { stat } from 'node:fs/promises';
import { type ImportError, UsageError } from '../errors.js';
import { failedKeys } from '../failed-keys.js';
import { openJournal } from '../journal/journal.js';
import { defaultStatePath } from '../journal/place.js';
import type { ImportOptions } from '../options.js';
import type { Report } from '../report.js';
import { checkKeysFile } from '../sources/keys-file.js';
import type { KeyFailure, Logger, ScanPosition } from '../types.js';
import type { Extras } from './assemble.js';
import { decide } from './decide.js';
import type { Facts, Ready } from './preflight.js';

/** The run, as far as the books are about it. */
interface Run {
  readonly tally: {
    snapshot(): { readonly moved: number; readonly bytes: number };
    onFailure(listener: (failure: KeyFailure) => void): void;
  };
  readonly settledPosition: ScanPosition | undefined;
}

export interface Books {
  readonly ready: Ready;
  readonly extras: Extras;
  /** What earlier runs of the job had done, for the report. */
  readonly earlier: Report['earlier'];
  /**
   * From here on the run is on the books.
   * @param stop another run has taken the job over, so that this one must end.
   */
  begin(run: Run, stop: (error: ImportError) => void): Promise<void>;
  end(status: Report['status']): Promise<void>;
  /** To be called in any case. */
  close(): Promise<void>;
}

/**
 * @throws UsageError when a file can't be used, PreflightError when the journal says no, or when
 *   `--replace` or `--no-replace` must be said.
 */
export async function openBooks(
  facts: Facts,
  options: ImportOptions,
  logger: Logger,
): Promise<Books> {
  const { copy, failedKeys: failedPath, onlyKeys: onlyPath } = options;
  const { match, exclude, type, minTtlMs, keyPrefix } = options;
  const { db } = facts.source.endpoint;
  if (failedPath !== undefined && onlyPath !== undefined) await checkDistinct(failedPath, onlyPath);
  const onlyKeys = onlyPath === undefined ? undefined : await checkKeysFile(onlyPath, db);
  const job = {
    from: [facts.source.name],
    to: facts.target.name,
    mode: copy ? 'copy' : 'move',
    clusterNodes: facts.target.nodeIds,
    selection: JSON.stringify({ match, exclude, type, minTtlMs, keyPrefix }),
  } as const;
  const journal = await openJournal(options.state ?? defaultStatePath(job), job);
  try {
    const clusterKeys = facts.target.masters.reduce((sum, { keys }) => sum + keys, 0);
    const { earlier } = journal;
    const isOnly = onlyKeys !== undefined;
    const plan = decide({ ...options, onlyKeys: isOnly, clusterKeys, earlier });
    const failed = failedPath === undefined ? undefined : failedKeys(failedPath, db);
    const startAt =
      plan.goesOn && copy && earlier?.selection === job.selection
        ? earlier.scans[facts.source.name]
        : undefined;
    let isKept = false;
    let isFinished = false;

    return {
      ready: { ...facts, replace: plan.overwrites },
      extras: { listed: plan.keepsListed ? journal.listed : undefined, startAt, onlyKeys },
      earlier: plan.goesOn && earlier ? { runs: earlier.runs, moved: earlier.moved } : undefined,
      async begin(run, stop) {
        const done = () => {
          const { moved, bytes } = run.tally.snapshot();
          const at = isFinished ? undefined : run.settledPosition;
          return { moved, bytes, scans: at ? { [facts.source.name]: at } : {} };
        };
        // Some keys by name are not the job: they neither begin nor end it.
        if (!isOnly) {
          await journal.begin(plan, done, { lost: stop, failed: warn });
          isKept = true;
        }
        failed?.begin();
        run.tally.onFailure((failure) => failed?.add(failure));
      },
      async end(status) {
        // What is left by a run that came to its end is spread over the whole source.
        isFinished = status === 'incomplete';
        if (isKept) await journal.end(status === 'complete').catch(warn);
      },
      async close() {
        const error = failed?.close();
        if (error) warn(new Error(`--failed-keys could not be written: ${error.message}`));
        await journal.release().catch(warn);
      },
    };
  } catch (error) {
    await journal.release();
    throw error;
  }

  function warn(error: unknown): void {
    logger.warn({}, error instanceof Error ? error.message : String(error));
  }
}

/** The one is emptied when the run begins, the other is read then. */
async function checkDistinct(failedPath: string, onlyPath: string): Promise<void> {
  const [one, other] = await Promise.all(
    [failedPath, onlyPath].map((path) => stat(path).catch(() => undefined)),
  );
  if (!one || !other || one.dev !== other.dev || one.ino !== other.ino) return;
  throw new UsageError('--failed-keys and --only-keys are the same file: give two.');
}
