/**
 * How stored keys leave the source: by a plain delete where nobody writes, else under one of two guards.
 *
 *   guard-by-counter.ts   the source's count of writes: many keys in one go, stopped by any write at all
 *   guard-by-watch.ts     WATCH: few keys at a time, stopped only by writes to these very keys
 */
import { ask } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { commandHead, slice } from '../../redis/frames.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Keys } from '../../types.js';

/** Keys that the source still has, and why. */
export interface Kept {
  /** Which of the keys; undefined: all. */
  readonly indexes: readonly number[] | undefined;
  /** They were written to; or what the source answered. */
  readonly why: 'changed' | ErrorReply;
}

export type Removed = 'removed' | Kept;

export const changed: Kept = { indexes: undefined, why: 'changed' };

/** What was known of the source when a batch's values were asked for. */
export interface Ticket {
  /** Undefined until the answer is in. */
  state: SourceState | undefined;
}

/** The same object as long as nobody else writes. */
export interface SourceState {
  /** Writes by others, counted from an arbitrary zero. */
  readonly foreignChanges: number;
  readonly saves: string;
}

export interface Removal {
  /** It goes by WATCH, which ends with the next transaction, whatever that does. */
  readonly watches?: true;
  /** Makes sure that later writes will be noticed; to be called ahead of asking for the values. */
  begin(keys: Keys): Ticket;
  /**
   * Deletes the keys, unless something was written since `begin`.
   * @throws ConnectionError when the source is lost: nobody knows then whether they are deleted.
   */
  remove(keys: Keys, ticket: Ticket): Promise<Removed>;
}

/** UNLINK frees memory in the background, but exists since 4.0 only. */
export type RemovalWord = 'UNLINK' | 'DEL';

/**
 * Deletes whatever happened: for sources that nobody writes to.
 * @param sameSlot one command takes keys of one slot only.
 */
export function plainRemoval(source: Connection, word: RemovalWord, sameSlot: boolean): Removal {
  const remove = async (keys: Keys): Promise<ErrorReply | undefined> => {
    const reply = await ask(
      source,
      [commandHead(keys.count, word), keys.bytes],
      (answer) => answer,
    );
    return reply instanceof ErrorReply ? reply : undefined;
  };
  return {
    begin: () => ({ state: undefined }),
    async remove(keys) {
      if (keys.count === 0) return 'removed';
      if (!sameSlot) {
        const refusal = await remove(keys);
        return refusal ? { indexes: undefined, why: refusal } : 'removed';
      }
      const each = Array.from({ length: keys.count }, (_, at) => remove(slice(keys, at, at + 1)));
      return keptOf(await Promise.all(each));
    },
  };
}

function keptOf(refusals: readonly (ErrorReply | undefined)[]): Removed {
  const [why] = refusals.filter((refusal) => refusal !== undefined);
  if (!why) return 'removed';
  return { indexes: refusals.flatMap((refusal, index) => (refusal ? [index] : [])), why };
}
