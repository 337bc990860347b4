/**
 * What the next start of the same job has to know, kept while a run lasts and removed once
 * everything has arrived. So the very same command goes on after a kill, and a new job starts afresh.
 *
 * It is written before anything moves, every few seconds, and at the end: nothing of it is done for
 * single keys. What it says of a moment ago is still right: totals are only for people, and of a
 * copying scan it has a position before which everything has arrived.
 */
import { ImportError, messageOf, PreflightError, UsageError } from '../errors.js';
import { parseObject } from '../format.js';
import type { FollowCheckpoint, ScanPosition } from '../types.js';
import type { JournalStore } from './stores.js';
import type { MovedKeys } from './moved.js';
import type { JobName } from './state-folder.js';

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

/*
 * What the journal says, and whether it may be believed: a job's second start must not go by what
 * another job, another version or half a file says.
 *
 * A job is: the sources as they were given, whether keys are moved or copied, and the cluster,
 * which is known by the ids of its nodes. As given, because a source that was restarted is still
 * the same job, and so is a name whose Sentinels have chosen another master. Ids, because a cluster
 * may be reached by any node, gain nodes and lose some, while one that was set up anew at the same
 * addresses has other ids, and holds nothing of the earlier run. (Where a user may not ask for ids,
 * addresses have to do.)
 */

export interface Job extends JobName {
  readonly clusterNodes: ClusterNodes;
  readonly selection: string;
  /** How many keys there are at this start; null: nobody knows. */
  readonly held: { readonly sourceKeys: number | null; readonly clusterKeys: number };
}

interface ClusterNodes {
  /** Undefined where they may not be asked for. */
  readonly ids: ReadonlySet<string> | undefined;
  /** Of its masters. */
  readonly addresses: readonly string[];
}

/** As it stands in the file. Holds no secrets. */
export interface JournalState {
  readonly format: typeof format;
  readonly formatVersion: typeof formatVersion;
  readonly from: readonly string[];
  readonly to: string;
  readonly mode: JobName['mode'];
  /** Ids, as far as they are known, and addresses. */
  readonly clusterNodes: readonly string[];
  /** `--replace` or `--no-replace` as it was said at the first start; null: neither. */
  readonly replaceSaid: boolean | null;
  /** What was decided then. */
  readonly replace: boolean;
  /** The cluster held no keys then: what is there now came from this job. */
  readonly startedEmpty: boolean;
  readonly runs: number;
  readonly moved: number;
  readonly bytes: number;
  readonly startedAt: string;
  readonly savedAt: string;
  /** How many keys there were at the first start; null or missing: nobody knows. */
  readonly sourceKeys?: number | null;
  readonly clusterKeys?: number | null;
  /** Which keys were selected and how they were renamed, as given; scans go on only for the same. */
  readonly selection: string;
  /** Where copying scans stood, by source: every key before that is in the cluster. */
  readonly scans: Readonly<Record<string, ScanPosition>>;
  /** From where following goes on, by database; one that is not in there has to be compared first. */
  readonly follow?: Readonly<Record<string, FollowCheckpoint>> | null;
}

export const format = 'cluster-import journal';
export const formatVersion = 1;

const verbs = { move: 'moves', copy: 'copies', follow: 'copies and follows' } as const;

type Checks = { readonly [Name in keyof Required<JournalState>]: (value: unknown) => boolean };

const isText = (value: unknown): boolean => typeof value === 'string';
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const isFlag = (value: unknown): boolean => typeof value === 'boolean';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

const checks = {
  format: (value) => value === format,
  formatVersion: (value) => value === formatVersion,
  from: isTexts,
  to: isText,
  mode: (value) => typeof value === 'string' && Object.hasOwn(verbs, value),
  clusterNodes: isTexts,
  replaceSaid: (value) => value === null || isFlag(value),
  replace: isFlag,
  startedEmpty: isFlag,
  runs: isCount,
  moved: isCount,
  bytes: isCount,
  startedAt: isText,
  savedAt: isText,
  // Journals of versions that did not count them lack both.
  sourceKeys: (value) => value === undefined || value === null || isCount(value),
  clusterKeys: (value) => value === undefined || value === null || isCount(value),
  selection: isText,
  scans: (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every(isPosition),
  // Journals of versions that could not follow lack it.
  follow: (value) => value === undefined || value === null || areCheckpoints(value),
} satisfies Checks;

function areCheckpoints(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every(isCheckpoint);
}

function isCheckpoint(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { position, datasets } = value as Partial<Record<string, unknown>>;
  if (typeof position !== 'object' || position === null) return false;
  if (typeof datasets !== 'object' || datasets === null) return false;
  const { replicationId, offset, db } = position as Partial<Record<string, unknown>>;
  if (!Object.values(datasets).every(isText) || !isText(replicationId)) return false;
  return isCount(offset) && Number.isSafeInteger(db);
}

function isPosition(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { cursor, server } = value as Partial<Record<string, unknown>>;
  return typeof cursor === 'string' && /^\d{1,20}$/.test(cursor) && isText(server);
}

export function serializeState(state: JournalState): string {
  return `${JSON.stringify(state, undefined, 2)}\n`;
}

/** @throws PreflightError when it is damaged, of another version, or another job's. */
export function parseState(text: string, path: string, job: Job): JournalState {
  const way = 'give another file in --state, or delete it to start afresh';
  const refuse = (why: string): PreflightError =>
    new PreflightError(`The journal ${path} ${why}: ${way}.`);
  const value = parseObject(text);
  if (value === undefined) throw refuse('is damaged');
  if (value['format'] !== format) throw refuse('is not one of cluster-import');
  if (value['formatVersion'] !== formatVersion) {
    throw refuse('was written by another version of cluster-import');
  }
  const isSound = Object.entries(checks).every(([name, check]) => check(value[name]));
  if (!isSound) throw refuse('is damaged');
  const state = value as unknown as JournalState;
  const [theirs, ours] = [state.from, job.from].map((names) => [...names].sort().join(', '));
  if (theirs !== ours) {
    throw refuse(`belongs to a run from ${String(theirs)}, and --from is ${String(ours)}`);
  }
  if (!isSameCluster(state.clusterNodes, job.clusterNodes)) {
    throw refuse(`belongs to a run into another cluster (then reached at ${state.to})`);
  }
  if (state.mode !== job.mode) {
    throw refuse(
      `belongs to a run that ${verbs[state.mode]} keys, and this one ${verbs[job.mode]} them`,
    );
  }
  return state;
}

/** How a cluster's nodes are written down. */
function nodesOnFile({ ids, addresses }: ClusterNodes): readonly string[] {
  return [...(ids ?? []), ...addresses];
}

/** By ids where both starts knew them. */
function isSameCluster(known: readonly string[], { ids, addresses }: ClusterNodes): boolean {
  const wereTold = known.some((name) => !name.includes(':'));
  const ours = ids && wereTold ? ids : new Set(addresses);
  return known.some((name) => ours.has(name));
}
