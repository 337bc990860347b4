/**
 * How stored keys leave the source: only if nothing was written there since they were read.
 *
 * The source counts every write (`rdb_changes_since_last_save` in INFO persistence; server.dirty in
 * Redis' server.c). The counter is read ahead of a batch's values; the batch is deleted by a script
 * that compares the counter first, and deletes nothing when anyone but this connection has written
 * in between. Scripts run alone, so nothing fits between the comparison and the delete.
 *
 * Only one such script is under way at a time, and it says exactly what the counter must be: a second
 * one would have to suppose how many keys the first deletes, and where that is wrong by just as much
 * as others have written, it would match by accident. What comes meanwhile waits, and goes together.
 *
 * Saving resets the counter, therefore the time of the last save, whether one is under way and how
 * many there were (7.0) belong to the comparison.
 */
import { ask } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command, commandHead, frame } from '../../redis/frames.js';
import { slice } from '../../redis/keys.js';
import { ErrorReply, type Reply, ReplyReader, textOf } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import { guardScript, guardScriptSha, readCounts, sameSlotScript, shaOf } from './scripts.js';

/** Keys that the source still has, and why. */
export interface Kept {
  /** Which of the keys; undefined: all. */
  readonly places: readonly number[] | undefined;
  /** They were written to; or what the source answered. */
  readonly why: 'changed' | ErrorReply;
}

export type Removed = 'removed' | Kept;

export const changed: Kept = { places: undefined, why: 'changed' };

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

export interface GuardOptions {
  /** One command takes keys of one slot only: it is a node of a cluster. */
  readonly sameSlot: boolean;
  /** How many keys one script deletes at most: the source serves nobody else meanwhile. */
  readonly limitKeys: () => number;
}

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
        return refusal ? { places: undefined, why: refusal } : 'removed';
      }
      const each = Array.from({ length: keys.count }, (_, at) => remove(slice(keys, at, at + 1)));
      return keptOf(await Promise.all(each));
    },
  };
}

function keptOf(refusals: readonly (ErrorReply | undefined)[]): Removed {
  const [why] = refusals.filter((refusal) => refusal !== undefined);
  if (!why) return 'removed';
  return { places: refusals.flatMap((refusal, place) => (refusal ? [place] : [])), why };
}

interface Asked {
  readonly keys: Keys;
  readonly ticket: Ticket;
  readonly resolve: (removed: Removed) => void;
  readonly reject: (error: Error) => void;
}

const infoCommand = command('INFO', 'persistence');

export function guardedRemoval(
  source: Connection,
  word: RemovalWord,
  { sameSlot, limitKeys }: GuardOptions,
): Removal {
  const script = sameSlot ? sameSlotScript : guardScript;
  const scriptSha = sameSlot ? shaOf(sameSlotScript) : guardScriptSha;
  /** Deletes that this connection has made and heard of: all of them, between two scripts. */
  let ownDeletes = 0;
  let latest: SourceState | undefined;
  let queue: Asked[] = [];
  let isBusy = false;

  function note(changes: number, saves: string): SourceState {
    const foreignChanges = changes - ownDeletes;
    if (latest?.foreignChanges !== foreignChanges || latest.saves !== saves) {
      latest = { foreignChanges, saves };
    }
    return latest;
  }

  function begin(): Ticket {
    const ticket: Ticket = { state: undefined };
    source.out.append(infoCommand);
    source.expect(
      new ReplyReader(
        (reply) => {
          if (!Buffer.isBuffer(reply)) return;
          const { changes, saves } = readCounts(reply.toString('latin1'));
          ticket.state = note(changes, saves);
        },
        // Whoever asks for the values on this connection hears of its loss too.
        () => undefined,
      ),
    );
    return ticket;
  }

  function remove(keys: Keys, ticket: Ticket): Promise<Removed> {
    if (keys.count === 0) return Promise.resolve('removed');
    return new Promise((resolve, reject) => {
      queue.push({ keys, ticket, resolve, reject });
      sendNext();
    });
  }

  function sendNext(): void {
    if (isBusy) return;
    const group: Asked[] = [];
    let count = 0;
    const limit = limitKeys();
    while (queue[0] && (count === 0 || count + queue[0].keys.count <= limit)) {
      const asked = queue.shift() as Asked;
      // Somebody has written since: the source has told that already.
      if (latest === undefined || asked.ticket.state !== latest) asked.resolve(changed);
      else {
        group.push(asked);
        count += asked.keys.count;
      }
    }
    if (latest !== undefined && group.length > 0) void send(group, latest, false);
  }

  async function send(
    group: readonly Asked[],
    state: SourceState,
    isAgain: boolean,
  ): Promise<void> {
    isBusy = true;
    const count = group.reduce((sum, { keys }) => sum + keys.count, 0);
    const head = commandHead(count + 3, 'EVALSHA', scriptSha, sameSlot ? 0 : count);
    const frames = group.map(({ keys }) => keys.bytes);
    const expected = [String(state.foreignChanges + ownDeletes), state.saves, word];
    const tail = Buffer.concat(expected.map((text) => frame(Buffer.from(text))));
    try {
      // The counts are kept where the reply is read, not where its promise is awaited: the next
      // reply in the same chunk is read by them.
      const removed = await ask(source, [head, ...frames, tail], (reply) =>
        verdictOf(reply, count),
      );
      if (removed !== 'removed' && isForgotten(removed) && !isAgain) {
        await source.call('SCRIPT', 'LOAD', script);
        await send(group, state, true);
        return;
      }
      share(removed, group);
    } catch (error) {
      for (const asked of group) asked.reject(error as Error);
    }
    isBusy = false;
    sendNext();
  }

  function verdictOf(reply: Reply, count: number): Removed {
    if (!Array.isArray(reply)) {
      const why = reply instanceof ErrorReply ? reply : new ErrorReply('ERR no reply to a script');
      return { places: undefined, why };
    }
    const [changes, saves, deleted, text, ...places] = reply;
    if (typeof deleted !== 'number') {
      note(Number(textOf(changes)), textOf(saves));
      return changed;
    }
    ownDeletes += deleted;
    if (text === undefined) return 'removed';
    const kept = places.map((place) => Number(place) - 1).filter((place) => place < count);
    return { places: kept, why: new ErrorReply(textOf(text)) };
  }

  source.onLost((error) => {
    const waiting = queue;
    queue = [];
    for (const asked of waiting) asked.reject(error);
  });
  // Ahead of the first script; a server that forgets it says NOSCRIPT.
  source.call('SCRIPT', 'LOAD', script).catch(() => undefined);
  return { begin, remove };
}

/** Tells each batch of a group what became of its own keys. */
function share(removed: Removed, group: readonly Asked[]): void {
  let first = 0;
  for (const { keys, resolve } of group) {
    const from = first;
    const to = (first += keys.count);
    if (removed === 'removed' || removed.places === undefined) resolve(removed);
    else {
      const places = removed.places.filter((place) => place >= from && place < to);
      const own = places.map((place) => place - from);
      resolve(own.length === 0 ? 'removed' : { places: own, why: removed.why });
    }
  }
}

/** Whether the source does not know the script any more: it has to be loaded again. */
export function isForgotten({ why }: Kept): boolean {
  return why instanceof ErrorReply && why.code === 'NOSCRIPT';
}
