/**
 * Moving keys while somebody writes to the source: WATCH them, read and store them, and delete them
 * in a transaction that the source refuses if any of them was touched
 * (https://redis.io/docs/latest/develop/interact/transactions/#optimistic-locking-using-check-and-set).
 *
 * Only writes to these very keys count, so it gets on where the write counter of removal.ts never
 * stands still; and it needs no right to run scripts. It costs more: the server looks through a
 * connection's whole list for each key that it watches, so few keys are watched at a time.
 */
import type { Connection } from '../../redis/connection.js';
import { commandHead } from '../../redis/frames.js';
import { ErrorReply, type Reply, ReplyReader } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import type { Removal, RemovalWord } from './removal.js';

/** How many keys are watched at a time: beyond some dozens each key costs more than the last. */
export const watchedKeys = 32;

/**
 * For one batch at a time: `begin` and `remove` must take turns.
 * @param word undefined: the source keeps the keys, and only whether they were touched is told.
 */
export function watchedRemoval(source: Connection, word: RemovalWord | undefined): Removal {
  let refusal: ErrorReply | undefined;

  function ask(...pieces: Buffer[]): Promise<Reply> {
    for (const piece of pieces) source.out.append(piece);
    return new Promise((resolve, reject) => {
      source.expect(new ReplyReader(resolve, reject));
    });
  }

  return {
    begin(keys: Keys) {
      refusal = undefined;
      void ask(commandHead(keys.count, 'WATCH'), keys.bytes).then(
        (reply) => {
          if (reply instanceof ErrorReply) refusal = reply;
        },
        // Whoever asks for the values on this connection hears of its loss too.
        () => undefined,
      );
      return { foreignChanges: 0, saves: '' };
    },
    async remove(keys: Keys) {
      if (refusal ?? keys.count === 0) {
        await source.call('UNWATCH');
        return refusal ?? 'removed';
      }
      const [, , result] = await Promise.all([
        source.call('MULTI'),
        word && ask(commandHead(keys.count, word), keys.bytes),
        source.call('EXEC'),
      ]);
      if (result instanceof ErrorReply) return result;
      return result === null ? 'changed' : 'removed';
    },
  };
}
