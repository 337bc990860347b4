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
 *   acks     the node's answers, its replicas' among them (acks.ts, durability.ts)
 *   remove   what was acknowledged is deleted at the source, if nobody wrote there meanwhile
 *
 * Where somebody did, the keys are moved again, few at a time and under WATCH (guard-by-watch.ts), at last
 * one by one.
 */
import { ImportError, StoppedError } from '../../errors.js';
import type { Connection } from '../../redis/connection.js';
import { chosen, joined, noKeys, slice } from '../../redis/keys.js';
import type { Batch, Copy, Keys, Mover, Node, Outcome } from '../../types.js';
import { outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { afterLostConnection, mayOverwrite } from '../policy.js';
import { watchedKeys } from './guard-by-watch.js';
import { reopening } from '../reopening.js';
import { createGuardChooser } from './guard-chooser.js';
import { createLanes } from './lanes.js';
import { createLine, storedBy } from './line.js';
import {
  type KnownKeys,
  keepAtSource,
  lastAttempt,
  Progress,
  removeAcknowledged,
  takeBack,
  withdraw,
} from './leaving.js';
import type { Kept } from './removal.js';
import { moveAgain } from './second-copy.js';
import { createSentValues, type SentValues } from './sent-values.js';
import { store, type StoreOptions } from './store.js';
import {
  type Confirmation,
  createStage,
  type Verified,
  verifyInPlace,
  verifyStaged,
} from './verify-before-delete.js';
import { createWatchers, type GuardedLine, type SourceEnd, type Watchers } from './watchers.js';

export interface RelayOptions extends StoreOptions {
  /**
   * Opens the main connection to the source, and again when it was lost.
   * @throws SourceError when that is beyond repair.
   */
  openMain(): Promise<SourceEnd>;
  /** Opens another one, for moving keys under WATCH; undefined: the source needs no guard. */
  readonly openWatcher: (() => Promise<SourceEnd>) | undefined;
  /** Opens another one, for values that travel element by element. */
  openApart(): Promise<SourceEnd>;
  /** Opens a connection to a node; called again when it was lost. */
  connectNode(node: Node): Promise<Connection>;
  /** How many connections to each node, where one may block. */
  readonly lanesPerNode: number;
  /** Whether the source lets scripts run; else all keys are moved under WATCH. */
  readonly scripts: boolean;
  /** Compares what was stored before it may leave the source; undefined: that is not asked for. */
  readonly confirmation: Confirmation | undefined;
}

/** What becomes of keys on one way. */
interface Course {
  readonly outcome: OutcomeBuilder;
  /** Those that have to go element by element instead; undefined: they are doing so. */
  readonly apart: Keys[] | undefined;
}

/** From this attempt on keys go under WATCH whatever the chooser says. */
const watchedFromAttempt = 2;
/** From this attempt on keys are watched one by one. */
const aloneFromAttempt = 4;
const watchedLines = 4;
/** What is moved again is compared as a whole: not more than so much together. */
const secondCopyBytes = 4 * 1024 * 1024;
/** How many values travel element by element at one time, each for as long as it takes. */
const apartLines = 2;

export function relay(options: RelayOptions): Mover {
  const connectNode = (node: Node): Promise<Connection> => options.connectNode(node);
  const lanes = createLanes(connectNode, options.lanesPerNode);
  const watchers =
    options.openWatcher && createWatchers(options.openWatcher, connectNode, watchedLines);
  const apartWatchers = createWatchers(() => options.openApart(), connectNode, apartLines);
  const chooser = watchers && createGuardChooser(() => watchers.idle(), options.scripts);
  /** For what is given its name later: over the others values pass in pieces. */
  const placing = createLanes(connectNode, 1);
  const main = reopening(
    async (): Promise<GuardedLine> => {
      const { source, sourceRun, removal } = await options.openMain();
      return { line: createLine(source, sourceRun, lanes), removal };
    },
    ({ line }) => line.source,
  );

  async function move(batch: Batch): Promise<Outcome> {
    const outcome = outcomeBuilder();
    const apart: Keys[] = [];
    const course: Course = { outcome, apart };
    const viaMain = async (): Promise<boolean> =>
      moveThrough(await main.get(), batch, batch.keys, course);
    const viaWatch = (): Promise<void> =>
      moveWatched(watchers ?? apartWatchers, batch, batch.keys, course);
    if (isSecondCopy(batch)) await viaWatch();
    else if (!watchers || !chooser) await viaMain();
    else if (batch.attempt >= watchedFromAttempt) await viaWatch();
    else await chooser.choose(viaMain, viaWatch);
    for (const keys of apart) {
      await moveWatched(apartWatchers, batch, keys, { outcome, apart: undefined });
    }
    return outcome.build();
  }

  /** Their node has, or may have, what this run stored there. */
  function isSecondCopy(batch: Batch): boolean {
    return (
      mayOverwrite(options.job, batch) === 'if-untouched' ||
      (batch.copy.state === 'may-be-moved' && batch.keys.values !== undefined)
    );
  }

  async function moveWatched(
    watchers: Watchers,
    batch: Batch,
    keys: Keys,
    course: Course,
  ): Promise<void> {
    const isAlone =
      options.sameSlot || course.apart === undefined || batch.attempt >= aloneFromAttempt;
    const parts: Promise<void>[] = [];
    for (let from = 0, to = 0; from < keys.count; from = to) {
      to = isAlone ? from + 1 : endOfPart(keys, from);
      const some = slice(keys, from, to);
      const moving = watchers.withLine((watcher) => moveThrough(watcher, batch, some, course));
      parts.push(
        moving.catch((error: unknown) => {
          if (!(error instanceof StoppedError)) throw error;
          // Others of the batch are under way, and are told of.
          course.outcome.retry(some, { class: 'source', message: error.message });
        }),
      );
    }
    await Promise.all(parts);
  }

  /** @returns whether the source was written to meanwhile, so that the keys go round again. */
  async function moveThrough(
    guarded: GuardedLine,
    batch: Batch,
    keys: Keys,
    { outcome, apart }: Course,
  ): Promise<boolean> {
    // What is known of a part is worth nothing once the source is lost half-way through it.
    const part = outcomeBuilder();
    const partApart: Keys[] = [];
    const sent = createSentValues();
    const progress = new Progress();
    try {
      const course = { outcome: part, apart: apart && partApart };
      const changed = isSecondCopy(batch)
        ? await movePartAgain(guarded, { ...batch, keys }, part, progress)
        : await movePart(guarded, { ...batch, keys }, course, sent, progress);
      apart?.push(...partApart);
      outcome.add(part.build());
      return changed;
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      const { source, sourceRun } = guarded.line;
      const known = afterLostConnection(options.job, batch.copy, progress.phase, sourceRun);
      const copy = progress.lane ? { ...known, ...storedBy(progress.lane, batch) } : known;
      // With the source still there it was the node that failed: what it was asked aside, say.
      const why = source.lost ? 'source' : 'unavailable';
      const again = keys.values ? keys : sent.withValues(keys);
      outcome.retry(again, { class: why, message: error.message, copy });
      return false;
    } finally {
      sent.release();
    }
  }

  /** @returns a connection to the node; undefined where there is none, of which `outcome` tells. */
  async function laneFor(
    { line }: GuardedLine,
    { node, keys }: Batch,
    outcome: OutcomeBuilder,
  ): Promise<Connection | undefined> {
    try {
      return await line.laneTo(node);
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      outcome.retry(keys, { class: 'unavailable', message: error.message });
      return undefined;
    }
  }

  async function movePart(
    { line, removal }: GuardedLine,
    batch: Batch,
    { outcome, apart }: Course,
    sent: SentValues,
    progress: Progress,
  ): Promise<boolean> {
    const lane = await laneFor({ line, removal }, batch, outcome);
    if (!lane) return false;
    const ticket = removal?.begin(batch.keys);
    const stage = options.confirmation && apart ? createStage() : undefined;
    const way = { sent, stage, byElements: apart === undefined };
    const found = await store(options, line, lane, batch, outcome, way);
    if (found.apart.count > 0) apart?.push(found.apart);
    const copy: Copy = { state: 'stored', sourceRun: line.sourceRun, ...storedBy(lane, batch) };
    const unverified = {
      guarded: { line, removal },
      ticket,
      batch,
      stored: found.keys,
      found: found.found,
    };
    const confirming: Verified = !options.confirmation
      ? { stored: found.keys, found: found.found, again: noKeys, isWatchOver: false }
      : stage
        ? await verifyStaged(options, unverified, stage, placing, outcome)
        : await verifyInPlace(options, unverified, lane, outcome);
    const { stored, isWatchOver } = confirming;
    const acknowledged = joined([stored, confirming.found]);
    const known = async (some: Keys, others: Keys): Promise<KnownKeys[]> => [
      ...(apart
        ? [{ keys: sent.withValues(some), copy }]
        : await takeBack(options, lane, batch, outcome, some)),
      { keys: others, copy: batch.copy },
    ];
    // What was not given its name yet is as if it had never been stored.
    if (confirming.again.count > 0) {
      const again = stage
        ? [{ keys: confirming.again, copy: batch.copy }]
        : await known(confirming.again, noKeys);
      keep(batch, outcome, 'changed', again);
    }
    if (isWatchOver) {
      keep(batch, outcome, 'changed', await known(stored, confirming.found));
      return true;
    }
    const removed = await removeAcknowledged(removal, ticket, acknowledged, lane, progress);
    // What was copied before, and now once more, was counted then.
    const isAgain = batch.listedBefore && batch.copy.state === 'stored';
    const as = options.job.mode === 'copy' && isAgain ? 'repeated' : 'moved';
    if (removed === 'removed') {
      // By elements, the copy is watched.
      if (!apart) await lane.call('UNWATCH');
      outcome[as] += acknowledged.count;
      return confirming.again.count > 0;
    }
    const places = removed.places ?? [...Array(acknowledged.count).keys()];
    outcome[as] += acknowledged.count - places.length;
    const keptStored = places.filter((place) => place < stored.count);
    const keptFound = places.map((place) => place - stored.count).filter((place) => place >= 0);
    const kept = await known(chosen(stored, keptStored), chosen(confirming.found, keptFound));
    keep(batch, outcome, removed.why, kept);
    return removed.why === 'changed';
  }

  /** The same for keys that their node has, or may have, from before. */
  async function movePartAgain(
    guarded: GuardedLine,
    batch: Batch,
    outcome: OutcomeBuilder,
    progress: Progress,
  ): Promise<boolean> {
    const lane = await laneFor(guarded, batch, outcome);
    if (!lane) return false;
    // A copy is compared, or read in one piece: nothing has to be guarded.
    const removal = options.job.mode === 'copy' ? undefined : guarded.removal;
    const line = { line: guarded.line, removal };
    const { kept, why } = await moveAgain(options, line, lane, batch, outcome, progress);
    if (why === undefined) return false;
    const isLast = batch.attempt >= lastAttempt;
    keep(batch, outcome, why, isLast ? await withdraw(options, lane, batch, outcome, kept) : kept);
    return why === 'changed';
  }

  /** What is at the node, and at the source still. */
  function keep(
    batch: Batch,
    outcome: OutcomeBuilder,
    why: Kept['why'],
    known: readonly KnownKeys[],
  ): void {
    // Where scripts are refused, WATCH may still be allowed.
    if (keepAtSource(batch, outcome, why, known)) chooser?.forbidMain();
  }

  return {
    name: 'relay',
    move,
    close() {
      main.close();
      lanes.close();
      placing.close();
      watchers?.close();
      apartWatchers.close();
      options.elements.close();
      options.confirmation?.close();
    },
  };
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
