/**
 * How stored keys leave the source: only if nothing was written there since they were read.
 *
 * The source counts every write (`rdb_changes_since_last_save` in INFO persistence; server.dirty in
 * Redis' server.c). The counter is read ahead of a batch's values; the batch is deleted by a script
 * that compares the counter first, and deletes nothing when anyone but this connection has written
 * in between. Scripts run alone, so nothing fits between the comparison and the delete.
 *
 * Save points reset the counter, therefore the time of the last save and whether one is under way
 * belong to the comparison.
 */
import { createHash } from 'node:crypto';
import type { Connection } from '../../redis/connection.js';
import { command, commandHead } from '../../redis/frames.js';
import { ErrorReply, type Reply, ReplyReader, textOf } from '../../redis/reply.js';
import { slice } from '../../redis/keys.js';
import type { Keys } from '../../types.js';

export type Removed = 'removed' | 'changed' | ErrorReply;

/** What was known of the source when a batch's values were asked for. */
export interface Ticket {
  /** Writes by others, counted from an arbitrary zero; undefined until the answer is in. */
  foreignChanges: number | undefined;
  saves: string;
}

export interface Removal {
  /** Makes sure that later writes will be noticed; to be called ahead of asking for the values. */
  begin(keys: Keys): Ticket;
  /** Deletes the keys, unless something was written since `begin`. */
  remove(keys: Keys, ticket: Ticket): Promise<Removed>;
}

/** UNLINK frees memory in the background, but exists since 4.0 only. */
export type RemovalWord = 'UNLINK' | 'DEL';

/**
 * Deletes whatever happened: for sources that nobody writes to.
 * @param sameSlot one command takes keys of one slot only.
 */
export function plainRemoval(source: Connection, word: RemovalWord, sameSlot: boolean): Removal {
  const remove = (keys: Keys): Promise<Removed> =>
    send(source, commandHead(keys.count, word), keys, Buffer.alloc(0), (reply) =>
      reply instanceof ErrorReply ? reply : 'removed',
    );
  return {
    begin: () => ({ foreignChanges: 0, saves: '' }),
    async remove(keys) {
      if (!sameSlot) return remove(keys);
      const each = Array.from({ length: keys.count }, (_, at) => remove(slice(keys, at, at + 1)));
      const refused = (await Promise.all(each)).find((removed) => removed !== 'removed');
      return refused ?? 'removed';
    },
  };
}

/** Goes on only if the counts are what these arguments say. */
const unlessWritten = (
  changes: string,
  saves: string,
): string => `local info = redis.call('INFO', 'persistence')
local changes = string.match(info, 'rdb_changes_since_last_save:(%d+)')
local saves = string.match(info, 'rdb_last_save_time:(%d+)') .. ' ' ..
  string.match(info, 'rdb_bgsave_in_progress:(%d)')
if changes ~= ${changes} or saves ~= ${saves} then return {changes, saves} end
`;

/** Also tried before the start, with counts that never are: then it deletes nothing. */
export const guardScript = `${unlessWritten('ARGV[1]', 'ARGV[2]')}\
return {changes, saves, redis.call(ARGV[3], unpack(KEYS))}`;
export const guardScriptSha = shaOf(guardScript);

/**
 * For a node of a cluster, where the keys that a script declares must be of one slot. Those that it
 * does not declare need only be the node's own (scriptVerifyClusterState in Redis' script.c).
 */
const sameSlotScript = `${unlessWritten('ARGV[#ARGV - 2]', 'ARGV[#ARGV - 1]')}\
local deleted = 0
for place = 1, #ARGV - 3 do deleted = deleted + redis.call(ARGV[#ARGV], ARGV[place]) end
return {changes, saves, deleted}`;

const infoCommand = command('INFO', 'persistence');

/** The most keys that one script deletes: Lua hands on no more than some 8,000 arguments. */
export const removalLimit = 4000;

/** @param sameSlot one command takes keys of one slot only. */
export function guardedRemoval(source: Connection, word: RemovalWord, sameSlot = false): Removal {
  const script = sameSlot ? sameSlotScript : guardScript;
  const scriptSha = shaOf(script);
  /** Deletes that this connection has made and heard of. */
  let ownDeletes = 0;
  /** Deletes asked for in scripts that have not answered, supposing all their keys exist. */
  let expectedDeletes = 0;

  function begin(): Ticket {
    const ticket: Ticket = { foreignChanges: undefined, saves: '' };
    source.out.append(infoCommand);
    source.expect(
      new ReplyReader(
        (reply) => {
          if (!Buffer.isBuffer(reply)) return;
          const { changes, saves } = readInfo(reply.toString('latin1'));
          ticket.foreignChanges = changes - ownDeletes;
          ticket.saves = saves;
        },
        // Whoever asks for the values on this connection hears of its loss too.
        () => undefined,
      ),
    );
    return ticket;
  }

  /** Scripts that answered `again`, one after the other; nothing else is sent meanwhile. */
  let recovering: Promise<unknown> | undefined;
  let inFlight = 0;
  const drained: (() => void)[] = [];

  async function remove(keys: Keys, ticket: Ticket): Promise<Removed> {
    while (recovering) await recovering;
    const verdict = await attempt(keys, ticket);
    if (!isMisguided(verdict)) return verdict;
    // Sent again at once it would expect the scripts behind it to succeed, which fail because it
    // did; each would chase the others for ever. Alone, what it expects is what it finds.
    return inTurn(() => sendAlone(keys, ticket));
  }

  function inTurn(work: () => Promise<Removed>): Promise<Removed> {
    const mine = Promise.resolve(recovering).then(work);
    const ended = mine.then(
      () => undefined,
      () => undefined,
    );
    recovering = ended;
    void ended.then(() => {
      if (recovering === ended) recovering = undefined;
    });
    return mine;
  }

  async function sendAlone(keys: Keys, ticket: Ticket): Promise<Removed> {
    if (inFlight > 0) await new Promise<void>((go) => drained.push(go));
    let verdict = await attempt(keys, ticket);
    if (verdict instanceof ErrorReply && verdict.code === 'NOSCRIPT') {
      await source.call('SCRIPT', 'LOAD', script);
      verdict = await attempt(keys, ticket);
    }
    return verdict === 'again' ? 'changed' : verdict;
  }

  function attempt(keys: Keys, ticket: Ticket): Promise<Removed | 'again'> {
    const foreign = ticket.foreignChanges;
    if (foreign === undefined) return Promise.resolve('changed');
    const expected = String(foreign + ownDeletes + expectedDeletes);
    expectedDeletes += keys.count;
    inFlight++;
    const declared = sameSlot ? 0 : keys.count;
    const head = commandHead(keys.count + 3, 'EVALSHA', scriptSha, declared);
    const tail = Buffer.concat([expected, ticket.saves, word].map(asFrame));
    // The counts are kept where the reply is read, not where its promise is awaited: the next
    // reply in the same chunk is read by them.
    return send(source, head, keys, tail, (reply): Removed | 'again' => {
      expectedDeletes -= keys.count;
      if (--inFlight === 0) for (const go of drained.splice(0)) go();
      if (!Array.isArray(reply)) return reply instanceof ErrorReply ? reply : 'changed';
      const [changes, saves, deleted] = reply;
      if (typeof deleted === 'number') {
        ownDeletes += deleted;
        return 'removed';
      }
      // Scripts are sent before those ahead of them have answered. When one of those found fewer
      // keys than it was sent for (they expired), the number expected was wrong, not the source.
      const same =
        Number(textOf(changes)) - ownDeletes === foreign && textOf(saves) === ticket.saves;
      return same ? 'again' : 'changed';
    });
  }

  source.onLost(() => {
    for (const go of drained.splice(0)) go();
  });
  // Ahead of the first script; a server that forgets it says NOSCRIPT.
  source.call('SCRIPT', 'LOAD', script).catch(() => undefined);
  return { begin, remove };
}

function isMisguided(verdict: Removed | 'again'): verdict is 'again' | ErrorReply {
  return verdict === 'again' || (verdict instanceof ErrorReply && verdict.code === 'NOSCRIPT');
}

function shaOf(script: string): string {
  return createHash('sha1').update(script).digest('hex');
}

function asFrame(text: string): Buffer {
  return Buffer.from(`$${String(text.length)}\r\n${text}\r\n`, 'latin1');
}

function readInfo(info: string): { changes: number; saves: string } {
  const field = (name: string): string => new RegExp(`${name}:(\\d+)`).exec(info)?.[1] ?? '';
  return {
    changes: Number(field('rdb_changes_since_last_save')),
    saves: `${field('rdb_last_save_time')} ${field('rdb_bgsave_in_progress')}`,
  };
}

function send<T>(
  source: Connection,
  head: Buffer,
  keys: Keys,
  tail: Buffer,
  read: (reply: Reply) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    source.out.append(head);
    source.out.append(keys.bytes);
    source.out.append(tail);
    const settle = (reply: Reply): void => {
      resolve(read(reply));
    };
    source.expect(new ReplyReader(settle, reject));
  });
}
