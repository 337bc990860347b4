/**
 * The relay: reads values from the source and stores them at their node, then deletes them at the
 * source once the node has acknowledged them.
 *
 * A batch goes through these steps, each for many keys at once and with other batches' steps in
 * between on the same connections:
 *
 *   begin    later writes to the source will be noticed (guard-by-counter.ts)
 *   ask      TTLs where any key has one, then the values: MGET, and DUMP for what is no string
 *   splice   each value is stored at the node as it arrives (splice.ts)
 *   acks     the node's answers, its replicas' among them (splice.ts)
 *   remove   what was acknowledged is deleted at the source, if nobody wrote there meanwhile
 *
 * Where somebody did, the keys are moved again, few at a time and under WATCH (guard-by-watch.ts), at last
 * one by one.
 */
import { ImportError, importErrorOf, StoppedError } from '../../errors.js';
import { chosen, joined, noKeys, slice } from '../../redis/frames.js';
import { type ConnectNode, lanes, reopening } from '../../redis/pool.js';
import type { Batch, Keys, Mover, Node, Outcome } from '../../types.js';
import { outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { mayOverwrite } from '../policy.js';
import { watchedKeys, WatchPool } from './guard-by-watch.js';
import {
  Attempt,
  keepAtSource,
  type KnownKeys,
  lastAttempt,
  takeBack,
  withdraw,
} from './attempt.js';
import { type GuardedSource, RelayConnection } from './relay-connection.js';
import type { Kept } from './removal.js';
import { moveAgain } from './second-copy.js';
import { storeInOnePiece } from './store-in-one-piece.js';
import { storeByElements, type Stored, type StoreOptions } from './store.js';
import {
  type Confirmation,
  Stage,
  type Verified,
  verifyInPlace,
  verifyStaged,
} from './verify-before-delete.js';

export interface RelayOptions extends StoreOptions {
  /**
   * Opens the main connection to the source, and again when it was lost.
   * @throws SourceError when that is beyond repair.
   */
  openMain(): Promise<GuardedSource>;
  /** Opens another one, for moving keys under WATCH; undefined: the source needs no guard. */
  readonly openWatcher: (() => Promise<GuardedSource>) | undefined;
  /** Opens another one, for values that travel element by element. */
  openForElements(): Promise<GuardedSource>;
  /** Opens a connection to a node; called again when it was lost. */
  readonly connectNode: ConnectNode;
  /** How many connections to each node, where one may block. */
  readonly connectionsPerNode: number;
  /** Whether the source lets scripts run; else all keys are moved under WATCH. */
  readonly scripts: boolean;
  /** Compares what was stored before it may leave the source; undefined: that is not asked for. */
  readonly confirmation: Confirmation | undefined;
}

/** How values travel. */
type Way = 'in-one-piece' | 'by-elements';

/** What is found out about keys on their way, beside their outcome. */
interface Moved {
  /** The source was written to meanwhile, so that keys go round again. */
  readonly changed: boolean;
  /** Keys that have to go element by element instead, not yet counted in the outcome. */
  readonly byElements: readonly Keys[];
}

/** From this attempt on keys go under WATCH whatever the chooser says. */
const watchedFromAttempt = 2;
/** From this attempt on keys are watched one by one. */
const aloneFromAttempt = 4;
const watchConnections = 4;
/** What is moved again is compared as a whole: not more than so much together. */
const secondCopyBytes = 4 * 1024 * 1024;
/** How many values travel element by element at one time, each for as long as it takes. */
const elementConnections = 2;

const nothingMore: Moved = { changed: false, byElements: [] };

export function relay(options: RelayOptions): Mover {
  const { connectNode } = options;
  const targetTo = lanes(connectNode, options.connectionsPerNode);
  const watchPool =
    options.openWatcher && new WatchPool(options.openWatcher, connectNode, watchConnections);
  const elementPool = new WatchPool(
    () => options.openForElements(),
    connectNode,
    elementConnections,
  );
  const chooser = watchPool && new GuardChooser(() => watchPool.idle(), options.scripts);
  /** For what is given its name later: over the others values pass in pieces. */
  const renaming = lanes(connectNode);
  const main = reopening(
    async () => new RelayConnection(await options.openMain(), targetTo),
    ({ source }) => source,
  );

  async function move(batch: Batch): Promise<Outcome> {
    const outcome = outcomeBuilder();
    const { byElements } = await moveInOnePiece(batch, outcome);
    for (const keys of byElements) {
      await moveWatched(elementPool, { ...batch, keys }, 'by-elements', outcome);
    }
    return outcome.build();
  }

  async function moveInOnePiece(batch: Batch, outcome: OutcomeBuilder): Promise<Moved> {
    const viaMain = async (): Promise<Moved> =>
      moveOver(await main(), batch, 'in-one-piece', outcome);
    const viaWatch = (): Promise<Moved> =>
      moveWatched(watchPool ?? elementPool, batch, 'in-one-piece', outcome);
    if (isSecondCopy(batch)) return viaWatch();
    if (!watchPool || !chooser) return viaMain();
    if (batch.attempt >= watchedFromAttempt) return viaWatch();
    return chooser.choose(viaMain, viaWatch);
  }

  /** Their node has, or may have, what this run stored there. */
  function isSecondCopy(batch: Batch): boolean {
    return (
      mayOverwrite(options.job, batch) === 'if-untouched' ||
      (batch.copy.state === 'may-be-moved' && batch.keys.values !== undefined)
    );
  }

  async function moveWatched(
    watchPool: WatchPool,
    batch: Batch,
    way: Way,
    outcome: OutcomeBuilder,
  ): Promise<Moved> {
    const { keys } = batch;
    const isAlone = options.sameSlot || way === 'by-elements' || batch.attempt >= aloneFromAttempt;
    const moving: Promise<Moved>[] = [];
    for (let from = 0, to = 0; from < keys.count; from = to) {
      to = isAlone ? from + 1 : endOfPart(keys, from);
      const part = { ...batch, keys: slice(keys, from, to) };
      const one = watchPool.with((connection) => moveOver(connection, part, way, outcome));
      moving.push(
        one.catch((error: unknown) => {
          if (!(error instanceof StoppedError)) throw error;
          // Others of the batch are under way, and have outcomes.
          outcome.retry(part.keys, { class: 'source', message: error.message });
          return nothingMore;
        }),
      );
    }
    const moved = await Promise.all(moving);
    return {
      changed: moved.some(({ changed }) => changed),
      byElements: moved.flatMap(({ byElements }) => byElements),
    };
  }

  async function moveOver(
    connection: RelayConnection,
    batch: Batch,
    way: Way,
    outcome: OutcomeBuilder,
  ): Promise<Moved> {
    const { keys, node } = batch;
    const target = await connection.targetTo(node).catch(importErrorOf);
    if (target instanceof ImportError) {
      outcome.retry(keys, { class: 'unavailable', message: target.message });
      return nothingMore;
    }
    const isAgain = isSecondCopy(batch);
    // A second copy is compared, or read in one piece: where the source keeps it, nothing has to be guarded.
    const removal = isAgain && options.job.mode !== 'move' ? undefined : connection.removal;
    const isConfirmed = options.durabilityOf(batch.node) !== undefined;
    const attempt = new Attempt(connection, target, batch, removal, isConfirmed);
    try {
      const moved = isAgain ? await moveSecondCopy(attempt) : await moveFirstCopy(attempt, way);
      outcome.add(attempt.outcome.build());
      return moved;
    } catch (error) {
      const { message } = importErrorOf(error);
      // With the source still there it was the node that failed, when it was asked aside, say.
      const why = connection.source.lost ? 'source' : 'unavailable';
      outcome.add(attempt.allAgain(options.job, { class: why, message }));
      return nothingMore;
    } finally {
      attempt.sent.release();
    }
  }

  async function moveFirstCopy(attempt: Attempt, way: Way): Promise<Moved> {
    const { batch, outcome, sent, target } = attempt;
    const isByElements = way === 'by-elements';
    const stage = options.confirmation && !isByElements ? new Stage() : undefined;
    const stored = isByElements
      ? await storeByElements(options, attempt)
      : await storeInOnePiece(options, attempt, stage);
    outcome.add(stored.outcome);
    const byElements = stored.byElements.count > 0 ? [stored.byElements] : [];
    const verified = await verify(attempt, stored, stage);
    const known = async (some: Keys, found: Keys, staged = noKeys): Promise<KnownKeys[]> => [
      ...(isByElements
        ? await takeBack(options, attempt, some)
        : [{ keys: sent.withValues(some), copy: attempt.confirmed }]),
      // Their node had them, with the source's values: what it lacks later, its clients have deleted.
      { keys: found, copy: attempt.stored },
      // What was not given its name yet is as if it had never been stored.
      { keys: staged, copy: batch.copy },
    ];
    if (verified.again.count > 0) {
      const { staged, named } = splitByName(verified.again, stage);
      keep(attempt, 'changed', await known(named, noKeys, staged));
    }
    if (verified.isWatchOver) {
      keep(attempt, 'changed', await known(verified.keys, verified.found));
      return { changed: true, byElements };
    }
    const acknowledged = joined([verified.keys, verified.found]);
    const removed = await attempt.remove(options.job, acknowledged);
    const changed = verified.again.count > 0;
    if (removed === 'in-doubt') return { changed, byElements };
    // What was copied before, and now once more, was counted then.
    const isAgain = batch.listedBefore && batch.copy.state === 'stored';
    const as = options.job.mode !== 'move' && isAgain ? 'repeated' : 'moved';
    if (removed === 'removed') {
      // By elements, the copy is watched.
      if (isByElements) target.call('UNWATCH').catch(() => undefined);
      outcome[as] += acknowledged.count;
      return { changed, byElements };
    }
    const indexes = removed.indexes ?? [...Array(acknowledged.count).keys()];
    outcome[as] += acknowledged.count - indexes.length;
    const storedCount = verified.keys.count;
    const keptStored = indexes.filter((index) => index < storedCount);
    const keptFound = indexes.map((index) => index - storedCount).filter((index) => index >= 0);
    const kept = await known(chosen(verified.keys, keptStored), chosen(verified.found, keptFound));
    keep(attempt, removed.why, kept);
    return { changed: removed.why === 'changed', byElements };
  }

  async function verify(
    attempt: Attempt,
    stored: Stored,
    stage: Stage | undefined,
  ): Promise<Verified> {
    const { keys, found } = stored;
    if (!options.confirmation) return { keys, found, again: noKeys, isWatchOver: false };
    return stage
      ? verifyStaged(options, attempt, stored, stage, renaming)
      : verifyInPlace(options, attempt, stored);
  }

  /** The same for keys that their node has, or may have, from before. */
  async function moveSecondCopy(attempt: Attempt): Promise<Moved> {
    const datasetOf = async (node: Node): Promise<string> => (await renaming(node)).dataset;
    const { kept, why } = await moveAgain({ ...options, datasetOf }, attempt);
    if (why === undefined) return nothingMore;
    const isLast = attempt.batch.attempt >= lastAttempt;
    keep(attempt, why, isLast ? await withdraw(options, attempt, kept) : kept);
    return { changed: why === 'changed', byElements: [] };
  }

  /** What is at the node, and at the source still. */
  function keep(attempt: Attempt, why: Kept['why'], known: readonly KnownKeys[]): void {
    // Where scripts are refused, WATCH may still be allowed.
    if (keepAtSource(attempt, why, known)) chooser?.forbidMain();
  }

  return { name: 'relay', move };
}

/** Where a part that begins there ends: after so many keys, or so many bytes of values. */
function endOfPart({ values, count }: Keys, from: number): number {
  const most = Math.min(count, from + watchedKeys);
  if (!values) return most;
  const firstByte = values.starts[from] as number;
  let to = from + 1;
  while (to < most && (values.starts[to + 1] as number) - firstByte <= secondCopyBytes) to++;
  return to;
}

/** Which keys stand under temporary names still, and which under their own. */
function splitByName(keys: Keys, stage: Stage | undefined): { staged: Keys; named: Keys } {
  const indexes = [...Array(keys.count).keys()];
  const isStaged = (index: number): boolean => stage?.has(keys, index) === true;
  return {
    staged: chosen(keys, indexes.filter(isStaged)),
    named: chosen(
      keys,
      indexes.filter((index) => !isStaged(index)),
    ),
  };
}

/*
 * Which way batches take: the main connection, whose guard fails when anybody writes anything, or the
 * slower watched connections, whose guard fails only for the keys that were written.
 *
 * After a refusal the watched connections are taken for a while, then a single batch tries the main
 * connection again; each time that is refused, the while doubles.
 */

/** What a choice rests on. */
interface Chosen {
  /** The guard refused, because somebody wrote meanwhile. */
  readonly changed: boolean;
}

const shortestWhile = 32;
const longestWhile = 4096;

class GuardChooser {
  #isTrusted: boolean;
  #isAllowed: boolean;
  #watchedLeft = 0;
  #whileBatches = shortestWhile;
  #probe: Promise<void> | undefined;

  /**
   * @param watchIdle settles when no watched connection is at work: their deletes are writes as well.
   * @param mainAllowed whether the main connection may be tried at all.
   */
  constructor(
    readonly watchIdle: () => Promise<void>,
    mainAllowed: boolean,
  ) {
    this.#isTrusted = mainAllowed;
    this.#isAllowed = mainAllowed;
  }

  /** The main connection's guard can't work at this source at all. */
  forbidMain(): void {
    this.#isTrusted = false;
    this.#isAllowed = false;
  }

  /** Moves a batch one way or the other. */
  async choose<T extends Chosen>(
    viaMain: () => Promise<T>,
    viaWatch: () => Promise<T>,
  ): Promise<T> {
    while (this.#probe) await this.#probe;
    if (this.#isTrusted) {
      const moved = await viaMain();
      if (moved.changed) this.#distrust();
      return moved;
    }
    if (this.#watchedLeft > 0 || !this.#isAllowed) {
      this.#watchedLeft--;
      return viaWatch();
    }
    const probing = this.#tryMain(viaMain).finally(() => (this.#probe = undefined));
    this.#probe = probing.then(
      () => undefined,
      () => undefined,
    );
    return probing;
  }

  /** Of the batches that are refused together, one starts the while. */
  #distrust(): void {
    if (!this.#isTrusted) return;
    this.#isTrusted = false;
    this.#watchedLeft = this.#whileBatches;
  }

  async #tryMain<T extends Chosen>(viaMain: () => Promise<T>): Promise<T> {
    await this.watchIdle();
    const moved = await viaMain();
    // It may have been forbidden meanwhile.
    this.#isTrusted = !moved.changed && this.#isAllowed;
    if (this.#isTrusted) this.#whileBatches = shortestWhile;
    else {
      this.#watchedLeft = this.#whileBatches;
      this.#whileBatches = Math.min(longestWhile, this.#whileBatches * 2);
    }
    return moved;
  }
}
