/**
 * The relay: reads values from the source and stores them at their node, then deletes them at the
 * source once the node has acknowledged them.
 *
 * A batch goes through these steps, each for many keys at once and with other batches' steps in
 * between on the same connections:
 *
 *   begin    later writes to the source will be noticed (removal.ts)
 *   ask      TTLs where any key has one, then the values: MGET, and DUMP for what is no string
 *   splice   each value is stored at the node as it arrives (splice.ts)
 *   acks     the node's answers, its replicas' among them (acks.ts, durability.ts)
 *   remove   what was acknowledged is deleted at the source, if nobody wrote there meanwhile
 *
 * Where somebody did, the keys are moved again, few at a time and under WATCH (watch.ts), at last
 * one by one.
 */
import type { Connection } from '../../redis/connection.js';
import { chosen, joined, slice } from '../../redis/keys.js';
import type { ErrorReply } from '../../redis/reply.js';
import { ImportError, StoppedError } from '../../errors.js';
import type { Batch, Doubt, Keys, Mover, Node, Outcome } from '../../types.js';
import { outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { sourceRefusal } from '../refused.js';
import { createCaution } from './caution.js';
import { type Confirmation, confirmed } from './confirmed.js';
import { createLanes } from './lanes.js';
import { createLine } from './line.js';
import type { Kept } from './removal.js';
import { store, type StoreOptions } from './store.js';
import { watchedKeys } from './watch.js';
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

/** From this attempt on keys go under WATCH whatever the caution says. */
const watchedFromAttempt = 2;
/** From this attempt on keys are watched one by one. */
const aloneFromAttempt = 4;
/** A key that changed in so many attempts is left at the source. */
const lastAttempt = 12;
const watchedLines = 4;
/** How many values travel element by element at one time, each for as long as it takes. */
const apartLines = 2;

/** Rights do not come back during a run; what a busy or loading server refuses it may allow later. */
function isForGood({ text }: ErrorReply): boolean {
  return /^NOPERM|unknown command|ACL failure|can't run this command/i.test(text);
}

export function relay(options: RelayOptions): Mover {
  const connectNode = (node: Node): Promise<Connection> => options.connectNode(node);
  const lanes = createLanes(connectNode, options.lanesPerNode);
  const watchers =
    options.openWatcher && createWatchers(options.openWatcher, connectNode, watchedLines);
  const apartWatchers = createWatchers(() => options.openApart(), connectNode, apartLines);
  const caution = watchers && createCaution(() => watchers.idle(), options.scripts);
  let main: Promise<GuardedLine> | undefined;

  function mainLine(): Promise<GuardedLine> {
    if (main) return main;
    const opening = options.openMain().then(({ source, sourceRun, removal }) => {
      source.onLost(() => (main = undefined));
      return { line: createLine(source, sourceRun, lanes), removal };
    });
    main = opening;
    opening.catch(() => (main = undefined));
    return opening;
  }

  async function move(batch: Batch): Promise<Outcome> {
    const outcome = outcomeBuilder();
    const apart: Keys[] = [];
    const course: Course = { outcome, apart };
    const viaMain = async (): Promise<boolean> =>
      moveThrough(await mainLine(), batch, batch.keys, course);
    if (!watchers || !caution) await viaMain();
    else {
      const viaWatch = (): Promise<void> => moveWatched(watchers, batch, batch.keys, course);
      await (batch.attempt >= watchedFromAttempt ? viaWatch() : caution.choose(viaMain, viaWatch));
    }
    for (const keys of apart) {
      await moveWatched(apartWatchers, batch, keys, { outcome, apart: undefined });
    }
    return outcome.build();
  }

  async function moveWatched(
    watchers: Watchers,
    batch: Batch,
    keys: Keys,
    course: Course,
  ): Promise<void> {
    const isAlone =
      options.sameSlot || course.apart === undefined || batch.attempt >= aloneFromAttempt;
    const size = isAlone ? 1 : watchedKeys;
    const parts: Promise<void>[] = [];
    for (let from = 0; from < keys.count; from += size) {
      const some = slice(keys, from, Math.min(keys.count, from + size));
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
    const { sourceRun } = guarded.line;
    const part = outcomeBuilder(sourceRun);
    let removing: Doubt | undefined;
    try {
      const partApart: Keys[] = [];
      const course = { outcome: part, apart: apart && partApart };
      const changed = await movePart(guarded, { ...batch, keys }, course, () => {
        removing = options.copy ? undefined : 'moved';
      });
      apart?.push(...partApart);
      outcome.add(part.build());
      return changed;
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      const news = removing ?? (batch.ours || batch.doubt ? undefined : 'stored');
      // With the source still there it was the node that failed: what it was asked aside, say.
      const why = guarded.line.source.lost ? 'source' : 'unavailable';
      outcome.retry(keys, {
        class: why,
        message: error.message,
        ...(news && { doubt: news, sourceRun }),
      });
      return false;
    }
  }

  async function movePart(
    { line, removal }: GuardedLine,
    batch: Batch,
    { outcome, apart }: Course,
    beforeRemoval: () => void,
  ): Promise<boolean> {
    const { node, keys } = batch;
    let lane: Connection;
    try {
      lane = await line.laneTo(node);
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      outcome.retry(keys, { class: 'unavailable', message: error.message });
      return false;
    }
    const ticket = removal?.begin(keys);
    const guarded = { line, removal };
    const found = await store(options, line, lane, batch, outcome, apart === undefined);
    if (found.apart.count > 0) apart?.push(found.apart);
    const atNode = { stored: found.keys, found: found.found };
    const { leaving, again } = options.confirmation
      ? await confirmed(options.confirmation, guarded, ticket, batch, atNode, outcome)
      : { leaving: atNode, again: undefined };
    const acknowledged = joined([leaving.stored, leaving.found]);
    beforeRemoval();
    const removed = removal && ticket ? await removal.remove(acknowledged, ticket) : 'removed';
    if (again) await keep(batch, outcome, 'changed', again);
    // What was copied before, and now once more, was counted then.
    const as = options.copiesAgain && batch.relisted && batch.ours ? 'repeated' : 'moved';
    if (removed === 'removed') {
      outcome[as] += acknowledged.count;
      return again !== undefined;
    }
    const places = removed.places ?? [...Array(acknowledged.count).keys()];
    outcome[as] += acknowledged.count - places.length;
    const storedCount = leaving.stored.count;
    await keep(batch, outcome, removed.why, {
      stored: chosen(
        leaving.stored,
        places.filter((place) => place < storedCount),
      ),
      found: chosen(
        leaving.found,
        places.map((place) => place - storedCount).filter((place) => place >= 0),
      ),
    });
    return removed.why === 'changed';
  }

  /** What is at the node, and at the source still: it goes round again, or stays there. */
  async function keep(
    batch: Batch,
    outcome: OutcomeBuilder,
    why: Kept['why'],
    { stored, found }: { readonly stored: Keys; readonly found: Keys },
  ): Promise<void> {
    const refusal = why === 'changed' ? undefined : sourceRefusal(why.text, 'to delete it');
    if (refusal?.refusal !== undefined) {
      // The source's trouble, and not the keys': they wait until it is over.
      outcome.retry(stored, { ...refusal, ours: true });
      outcome.retry(found, refusal);
      return;
    }
    const message =
      why === 'changed'
        ? 'it was written to while it was moved'
        : `copied, but the source refused to delete it: ${why.text}`;
    if (batch.attempt < lastAttempt) {
      // Where scripts are refused, WATCH may still be allowed.
      if (why !== 'changed' && isForGood(why)) caution?.forbidMain();
      outcome.retry(stored, { class: 'changing', message, ours: true });
      outcome.retry(found, { class: 'changing', message });
      return;
    }
    // The node's copy is stale, and the source's is the one that counts.
    await options.discard(batch, stored);
    outcome.fail(joined([stored, found]), {
      class: why === 'changed' ? 'changing' : 'source',
      message: `${message}, ${String(lastAttempt + 1)} times`,
    });
  }

  return {
    name: 'relay',
    move,
    close() {
      main?.then(
        ({ line }) => {
          line.close();
        },
        () => undefined,
      );
      lanes.close();
      watchers?.close();
      apartWatchers.close();
      options.elements.close();
      options.confirmation?.close();
    },
  };
}
