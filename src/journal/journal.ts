/**
 * What the next start of the same job has to know, kept while a run lasts and removed once
 * everything has arrived. So the very same command goes on after a kill, and a new job starts afresh.
 *
 * It is written before anything moves, every few seconds, and at the end: nothing of it is done for
 * single keys. What it says of a moment ago is still right: totals are only for people, and of a
 * copying scan it has a position before which everything has arrived.
 */
import { ImportError, messageOf, PreflightError, UsageError } from '../errors.js';
import type { FollowCheckpoint, ScanPosition } from '../types.js';
import type { JournalStore } from './journal-store.js';
import type { MovedKeys } from './moved.js';
import {
  format,
  formatVersion,
  type Job,
  type JournalState,
  parseState,
  serializeState,
  nodesOnFile,
} from './state.js';

const saveEveryMs = 5000;

/** What a run decides before it starts, for itself and for those that go on with it. */
export interface Decision extends Pick<JournalState, 'replaceSaid' | 'replace' | 'startedEmpty'> {
  /** The run goes on with what the journal recorded. */
  readonly goesOn: boolean;
}

/** What a run has done so far. */
interface Done {
  readonly moved: number;
  readonly bytes: number;
  readonly scans: Readonly<Record<string, ScanPosition>>;
  readonly follow: Readonly<Record<string, FollowCheckpoint>> | null;
}

interface Troubles {
  /** Another run has taken the job over, or what is moved can't be put on file: this one must end. */
  lost(error: ImportError): void;
  /** The journal can't be written for now; what it said last still holds. */
  failed(error: ImportError): void;
}

export interface Journal {
  /** What an earlier run of this job has left. */
  readonly earlier: JournalState | undefined;
  /** Undefined: its store has no place for moved keys. */
  readonly moved: MovedKeys | undefined;
  /**
   * Writes the decision, and from then on what was done.
   * @throws UsageError when it can't be written.
   */
  begin(decision: Decision, done: () => Done, troubles: Troubles): Promise<void>;
  /** Ends what `begin` began. @param isOver nothing is left to go on with. */
  end(isOver: boolean): Promise<void>;
  /** Lets others take the job; to be called in any case. */
  release(): Promise<void>;
}

/** @throws PreflightError when another run is under way, or the file can't be believed. */
export async function openJournal(store: JournalStore, job: Job): Promise<Journal> {
  const lock = await unlessUnwritable(store, () => store.lock());
  let troubles: Troubles | undefined;
  const moved = store.moved((error) => troubles?.lost(error));
  let earlier: JournalState | undefined;
  let timer: NodeJS.Timeout | undefined;
  let saving: Promise<void> = Promise.resolve();
  let write: () => Promise<void> = () => Promise.resolve();

  try {
    const text = await unlessUnwritable(store, () => store.read());
    if (text !== undefined) earlier = parseState(text, store.name, job);
  } catch (error) {
    await lock.release();
    store.close();
    throw error;
  }

  return {
    get earlier() {
      return earlier;
    },
    moved,
    async begin(decision, done, told) {
      troubles = told;
      const before = decision.goesOn ? earlier : undefined;
      if (!before) await unlessUnwritable(store, () => store.remove());
      const startedAt = before?.startedAt ?? new Date().toISOString();
      write = async () => {
        const { moved: keys, bytes, scans, follow } = done();
        const { replaceSaid, replace, startedEmpty } = decision;
        const state: JournalState = {
          format,
          formatVersion,
          from: job.from,
          to: job.to,
          mode: job.mode,
          clusterNodes: nodesOnFile(job.clusterNodes),
          replaceSaid,
          replace,
          startedEmpty,
          runs: (before?.runs ?? 0) + 1,
          moved: (before?.moved ?? 0) + keys,
          bytes: (before?.bytes ?? 0) + bytes,
          startedAt,
          savedAt: new Date().toISOString(),
          sourceKeys: before ? (before.sourceKeys ?? null) : job.held.sourceKeys,
          clusterKeys: before ? (before.clusterKeys ?? null) : job.held.clusterKeys,
          selection: job.selection,
          scans,
          follow,
        };
        await store.write(serializeState(state));
      };
      await unlessUnwritable(store, write);
      const save = async (): Promise<void> => {
        if (await lock.renew()) await write();
        else {
          clearInterval(timer);
          write = () => Promise.resolve();
          told.lost(new ImportError(`Another run of this job has taken over ${store.name}.`));
        }
      };
      timer = setInterval(() => {
        saving = saving.then(save).catch((error: unknown) => {
          told.failed(unwritable(store, error, ImportError));
        });
      }, saveEveryMs).unref();
    },
    async end(isOver) {
      clearInterval(timer);
      await saving;
      if (isOver) await store.remove();
      else await write();
    },
    async release() {
      clearInterval(timer);
      await saving;
      await moved?.close();
      await lock.release();
      store.close();
    },
  };
}

async function unlessUnwritable<T>(store: JournalStore, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PreflightError) throw error;
    throw unwritable(store, error, UsageError);
  }
}

function unwritable(
  { name, way }: JournalStore,
  cause: unknown,
  Kind: typeof ImportError,
): ImportError {
  const words = messageOf(cause);
  return new Kind(`The journal ${name} can't be kept (${words}): ${way}.`, { cause });
}
