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
import { ErrorReply } from '../../redis/reply.js';
import { slice } from '../../redis/keys.js';
import { ImportError } from '../../errors.js';
import type { Batch, Keys, Mover, Node, Outcome } from '../../types.js';
import { outcomeBuilder, type OutcomeBuilder } from '../outcome.js';
import { createCaution } from './caution.js';
import { createLine, type Line } from './line.js';
import type { Removal } from './removal.js';
import { store, type StoreOptions } from './store.js';
import { watchedKeys } from './watch.js';
import { createWatchers, type GuardedLine, type Watchers } from './watchers.js';

export interface RelayOptions extends StoreOptions {
  readonly source: Connection;
  /** Opens a connection to a node; called again when it was lost. */
  connectNode(node: Node): Promise<Connection>;
  /** How many connections to each node, where one may block. */
  readonly lanesPerNode: number;
  /** Undefined: the source is left as it is. */
  readonly removal: Removal | undefined;
  /** Opens another connection to the source, for moving keys under WATCH; undefined: never. */
  readonly watcher: (() => Promise<{ source: Connection; removal: Removal }>) | undefined;
}

/** From this attempt on keys go under WATCH whatever the caution says. */
const watchedFromAttempt = 2;
/** From this attempt on keys are watched one by one. */
const aloneFromAttempt = 4;
/** A key that changed in so many attempts is left at the source. */
const lastAttempt = 12;

export function relay(options: RelayOptions): Mover {
  const connectNode = (node: Node): Promise<Connection> => options.connectNode(node);
  const main = createLine(options.source, connectNode, options.lanesPerNode);
  const watchers = options.watcher && createWatchers(options.watcher, connectNode);
  const caution = watchers && createCaution(() => watchers.idle());

  async function move(batch: Batch): Promise<Outcome> {
    const outcome = outcomeBuilder();
    const viaMain = (): Promise<boolean> =>
      moveThrough(main, options.removal, batch, batch.keys, outcome);
    if (!options.removal || !watchers || !caution) await viaMain();
    else {
      const viaWatch = (): Promise<void> => moveWatched(watchers, batch, outcome);
      await (batch.attempt >= watchedFromAttempt ? viaWatch() : caution.choose(viaMain, viaWatch));
    }
    return outcome.build();
  }

  async function moveWatched(
    watchers: Watchers,
    batch: Batch,
    outcome: OutcomeBuilder,
  ): Promise<void> {
    const size = batch.attempt >= aloneFromAttempt ? 1 : watchedKeys;
    const parts: Promise<void>[] = [];
    for (let from = 0; from < batch.keys.count; from += size) {
      const keys = slice(batch.keys, from, Math.min(batch.keys.count, from + size));
      const work = ({ line, removal }: GuardedLine): Promise<boolean> =>
        moveThrough(line, removal, batch, keys, outcome);
      parts.push(watchers.withLine(work));
    }
    await Promise.all(parts);
  }

  /** @returns whether the source was written to meanwhile, so that the keys go round again. */
  async function moveThrough(
    line: Line,
    removal: Removal | undefined,
    batch: Batch,
    keys: Keys,
    outcome: OutcomeBuilder,
  ): Promise<boolean> {
    let lane: Connection;
    try {
      lane = await line.laneTo(batch.node);
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      outcome.retry(keys, { class: 'unavailable', message: error.message });
      return false;
    }
    const ticket = removal?.begin(keys);
    const acknowledged = await store(options, line, lane, { ...batch, keys }, outcome);
    const removed = removal && ticket ? await removal.remove(acknowledged, ticket) : 'removed';
    if (removed === 'removed') outcome.moved += acknowledged.count;
    else if (removed instanceof ErrorReply) {
      outcome.fail(acknowledged, {
        class: 'source',
        message: `copied, but the source refused to delete it: ${removed.text}`,
      });
    } else if (batch.attempt < lastAttempt) {
      const message = 'it was written to while it was moved';
      outcome.retry(acknowledged, { class: 'changing', message, ours: true });
    } else await leaveChanging(batch.node, acknowledged, outcome);
    return removed === 'changed';
  }

  /** The node's copy is stale, and the source's is the one that counts. */
  async function leaveChanging(node: Node, keys: Keys, outcome: OutcomeBuilder): Promise<void> {
    await options.discard(node, keys);
    outcome.fail(keys, {
      class: 'changing',
      message: `it was written to each of the ${String(lastAttempt + 1)} times that it was moved`,
    });
  }

  return {
    name: 'relay',
    move,
    close() {
      main.close();
      watchers?.close();
    },
  };
}
