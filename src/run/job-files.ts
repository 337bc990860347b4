/**
 * What a run keeps in files beside its report: the journal, by which the same command goes on, and
 * the keys that failed. And what it learns from such files: how far earlier runs have come, and
 * which keys alone are to be done.
 */
import { stat } from 'node:fs/promises';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { type ImportError, messageOf, UsageError, errorOf } from '../errors.js';
import { fileStore, type JournalStore } from '../journal/stores.js';
import { openJournal } from '../journal/journal.js';
import { defaultStatePath } from '../journal/state-folder.js';
import type {
  BookkeepingOptions,
  EndpointOptions,
  JobOptions,
  SelectionOptions,
} from '../options/options.js';
import { type Report, reportedFailure } from '../report.js';
import { checkKeysFile } from '../sources/keys-file.js';
import type { Logger, KeyFailure } from '../types.js';
import { decide } from './decide.js';
import type { ImportPlan, PlanContext, SourceRuns } from './source-runs.js';
import { readDatabases } from '../plan/origins.js';
import type { Facts } from '../plan/preflight.js';
import { isServer, keyCountOf } from '../plan/source-facts.js';
import { jobModeOf } from '../plan/options-checks.js';

export interface JobFiles {
  /** What the import of each source goes by. */
  readonly plan: Omit<ImportPlan, 'options'>;
  /** Keys that are on file. */
  readonly keys: Pick<PlanContext, 'moved' | 'onlyKeys'>;
  /** What earlier runs of the job had done, for the report. */
  readonly earlier: Report['earlier'];
  /** How many keys the servers held at the first start of the job; null: nobody knows. */
  readonly atFirstStart: {
    readonly sourceKeys: number | null;
    readonly clusterKeys: number | null;
  };
  /**
   * From here on the journal knows of the run.
   * @param stop another run has taken the job over, so that this one must end.
   */
  begin(run: SourceRuns, stop: (error: ImportError) => void): Promise<void>;
  end(status: Report['status']): Promise<void>;
  /** To be called in any case. */
  close(): Promise<void>;
}

/**
 * @param storeFor where the journal of that name is kept.
 * @throws UsageError when a file can't be used, PreflightError when the journal says no, or when
 *   `--replace` or `--no-replace` must be said.
 */
export async function openJobFiles(
  facts: Facts,
  options: BookkeepingOptions & SelectionOptions & JobOptions & Pick<EndpointOptions, 'db'>,
  logger: Logger,
  storeFor: (path: string) => JournalStore = fileStore,
): Promise<JobFiles> {
  const { copy, failedKeys: failedPath, onlyKeys: onlyPath } = options;
  const { match, exclude, type, minTtlMs, keyPrefix } = options;
  const origins = facts.sources.map(({ name, db }) => ({ name, db }));
  if (failedPath !== undefined && onlyPath !== undefined) await checkDistinct(failedPath, onlyPath);
  const onlyKeys = onlyPath === undefined ? undefined : await checkKeysFile(onlyPath, origins);
  const sources = facts.sources.map(({ job: known }) => known);
  const job = {
    from: [...new Set(sources.flatMap((known) => known ?? []))],
    to: facts.target.name,
    mode: jobModeOf(options),
    clusterNodes: {
      ids: facts.target.nodeIds,
      addresses: facts.target.masters.map(({ node }) => node.address),
    },
    selection: JSON.stringify({ match, exclude, type, minTtlMs, keyPrefix }),
    held: { sourceKeys: keysOfSources(facts), clusterKeys: keysOfCluster(facts) },
  } as const;
  const { state } = options;
  // What can't be known again (standard input) may be anything the next time: no start goes on with it.
  const journal =
    state === false || sources.includes(undefined)
      ? undefined
      : await openJournal(storeFor(state === true ? defaultStatePath(job) : state), job);
  try {
    const { clusterKeys } = job.held;
    const earlier = journal?.earlier;
    const isOnly = onlyKeys !== undefined;
    const isEmpty = onlyKeys?.keyCount === 0 || facts.sources.every((source) => source.isEmpty);
    const decision = decide({ ...options, onlyKeys: isOnly, isEmpty, clusterKeys, earlier });
    const followAt = decision.goesOn && options.follow ? (earlier?.follow ?? {}) : {};
    const failed = failedPath === undefined ? undefined : failedKeys(failedPath);
    const positions =
      decision.goesOn && copy && earlier?.selection === job.selection ? earlier.scans : {};
    let isKept = false;
    let isFinished = false;

    return {
      plan: {
        isOnlySource: isAlone(facts, options),
        decision,
        movedBefore: decision.goesOn ? (earlier?.moved ?? 0) : 0,
        followAt,
        startAts: positions,
      },
      keys: { moved: decision.keepsMoved ? journal?.moved : undefined, onlyKeys },
      earlier:
        decision.goesOn && earlier ? { runs: earlier.runs, moved: earlier.moved } : undefined,
      atFirstStart:
        decision.goesOn && earlier
          ? { sourceKeys: earlier.sourceKeys ?? null, clusterKeys: earlier.clusterKeys ?? null }
          : job.held,
      async begin(run, stop) {
        const done = () => {
          const { moved, bytes } = run.tally.snapshot();
          const follow = run.follow?.checkpoints ?? null;
          return { moved, bytes, scans: isFinished ? {} : run.positions(), follow };
        };
        // Some keys by name are not the job: they neither begin nor end it.
        if (!isOnly && journal) {
          await journal.begin(decision, done, { lost: stop, failed: warn });
          isKept = true;
        }
        failed?.begin();
        for (const { source, tally } of run.all) {
          const { name, db } = source;
          const origin: KeyOrigin = {
            db,
            ...(run.all.length > 1 && { from: name }),
          };
          tally.onFailure((failure) => failed?.add(failure, origin));
        }
      },
      async end(status) {
        // What is left by a run that came to its end is spread over the whole source.
        isFinished = status === 'incomplete';
        if (isKept) await journal?.end(status === 'complete').catch(warn);
      },
      async close() {
        const error = failed?.close();
        if (error) warn(new Error(`--failed-keys could not be written: ${error.message}`));
        await journal?.release().catch(warn);
      },
    };
  } catch (error) {
    await journal?.release();
    throw error;
  }

  function warn(error: unknown): void {
    logger.warn({}, messageOf(error));
  }
}

/** Of all databases, an earlier run may have emptied all but one. */
function isAlone({ sources }: Facts, { db }: Pick<EndpointOptions, 'db'>): boolean {
  return sources.length === 1 && readDatabases(db) !== 'all';
}

/** A dry run keeps none. */
export function noJobFiles(facts: Facts, options: Pick<EndpointOptions, 'db'>): JobFiles {
  return {
    plan: {
      isOnlySource: isAlone(facts, options),
      decision: { overwrites: false, startedEmpty: false, goesOn: false, recallsMoved: false },
      movedBefore: 0,
      followAt: {},
      startAts: {},
    },
    keys: {},
    earlier: undefined,
    atFirstStart: { sourceKeys: keysOfSources(facts), clusterKeys: keysOfCluster(facts) },
    begin: () => Promise.resolve(),
    end: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/** Null where a file is among them: it does not say how many it has. */
function keysOfSources({ sources }: Facts): number | null {
  return sources.every(isServer) ? keyCountOf(sources) : null;
}

function keysOfCluster({ target }: Facts): number {
  return target.masters.reduce((sum, { keys }) => sum + keys, 0);
}

/** The one is emptied when the run begins, the other is read then. */
async function checkDistinct(failedPath: string, onlyPath: string): Promise<void> {
  const [one, other] = await Promise.all(
    [failedPath, onlyPath].map((path) => stat(path).catch(() => undefined)),
  );
  if (!one || !other || one.dev !== other.dev || one.ino !== other.ino) return;
  throw new UsageError('--failed-keys and --only-keys are the same file: give two.');
}

/*
 * Writes every key that did not move to a file, one JSON object a line, as they fail: what the
 * report has room for is only the first hundred. `--only-keys` takes such a file.
 *
 * What fails at the same moment is written together, at once and synchronously: so nothing waits in
 * memory, however much fails, and what a killed run knew is in the file.
 */

const limitLength = 64 * 1024;

/** Which source a key is of. */
interface KeyOrigin {
  readonly db: number;
  /** `host:port/db`; only where a run has several sources. */
  readonly from?: string;
}

export interface FailedKeys {
  /** Empties the file: the run begins, and what an earlier one wrote there is not its own. */
  begin(): void;
  add(failure: KeyFailure, origin: KeyOrigin): void;
  /** @returns why the file is not whole, if something went wrong. */
  close(): Error | undefined;
}

/**
 * Creates the file now, so that a path that can't be written is refused before the start.
 * @throws UsageError
 */
export function failedKeys(path: string): FailedKeys {
  let file: number;
  try {
    file = openSync(path, 'a');
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`--failed-keys can't be written (${words}): choose another file.`, {
      cause: error,
    });
  }
  let text = '';
  let isDue = false;
  let failed: Error | undefined;

  function write(): void {
    isDue = false;
    const bytes = Buffer.from(text);
    text = '';
    try {
      for (let at = 0; at < bytes.length && !failed;) at += writeSync(file, bytes, at);
    } catch (error) {
      failed = errorOf(error);
    }
  }

  return {
    begin() {
      // A pipe can't be emptied, and need not be.
      try {
        ftruncateSync(file);
      } catch {
        return;
      }
    },
    add(failure, origin) {
      const { key, keyEncoding, ...why } = reportedFailure(failure);
      text += `${JSON.stringify({ key, keyEncoding, ...origin, ...why })}\n`;
      if (text.length >= limitLength) write();
      else if (!isDue) {
        isDue = true;
        queueMicrotask(write);
      }
    },
    close() {
      write();
      closeSync(file);
      return failed;
    },
  };
}
