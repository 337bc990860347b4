/**
 * Deletes stored keys at the source only if nothing was written there since they were read.
 *
 * The source counts every write (`rdb_changes_since_last_save` in INFO persistence; server.dirty in
 * Redis' server.c). The counter is read ahead of a batch's values; the batch is deleted by a script
 * that compares the counter first, and deletes nothing when anyone but this connection has written
 * in between. Scripts run alone, so nothing fits between the comparison and the delete.
 *
 * Only one such script is under way at a time, and it says exactly what the counter must be: a second
 * one would have to guess how many keys the first deletes; if the guess were off by exactly the number
 * of foreign writes, the check would pass by accident. What comes meanwhile waits, and goes together.
 *
 * Saving resets the counter, therefore the time of the last save, whether one is under way and how
 * many there were (7.0) belong to the comparison.
 */
import { ask, isForgotten, shaOf } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command, commandHead, frame } from '../../redis/frames.js';
import { ErrorReply, type Reply, ReplyReader, textOf } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import {
  changed,
  type Removal,
  type RemovalWord,
  type Removed,
  type SourceState,
  type Ticket,
} from './removal.js';

/** As the scripts below put it together. */
interface Counts {
  /** Writes since the last save. */
  readonly changes: number;
  /** Of saves, whatever tells one from the next. */
  readonly saves: string;
}

const savesFields = ['rdb_last_save_time', 'rdb_bgsave_in_progress', 'rdb_saves'];

const changesPattern = /rdb_changes_since_last_save:(\d+)/;
const savesPatterns = savesFields.map((name) => new RegExp(`${name}:(\\d+)`));

/** From what INFO persistence says. */
function readCounts(info: string): Counts {
  const field = (pattern: RegExp): string => pattern.exec(info)?.[1] ?? '';
  return {
    changes: Number(field(changesPattern)),
    saves: savesPatterns.map(field).join(' '),
  };
}

/** Goes on only if the counts are what these arguments say. */
const unlessWritten = (
  changes: string,
  saves: string,
): string => `local info = redis.call('INFO', 'persistence')
local field = function(name) return string.match(info, name .. ':(%d+)') or '' end
local changes = field('rdb_changes_since_last_save')
local saves = ${savesFields.map((name) => `field('${name}')`).join(" .. ' ' .. ")}
if changes ~= ${changes} or saves ~= ${saves} then return {changes, saves} end
local deleted, refused = 0, {changes, saves, 0}
`;

/** Lua hands on no more than some 8,000 arguments. */
const keysPerCommand = 1000;

/**
 * Answers the counts, how many keys it deleted, and where some were refused why, and which (from 1).
 * Also tried before the start, with counts that never are: then it deletes nothing.
 */
export const guardScript = `${unlessWritten('ARGV[1]', 'ARGV[2]')}\
for from = 1, #KEYS, ${String(keysPerCommand)} do
  local to = math.min(from + ${String(keysPerCommand - 1)}, #KEYS)
  local answer = redis.pcall(ARGV[3], unpack(KEYS, from, to))
  if type(answer) == 'table' then
    refused[4] = answer.err
    for place = from, #KEYS do refused[#refused + 1] = place end
    break
  end
  deleted = deleted + answer
end
refused[3] = deleted
return refused`;

/**
 * For a node of a cluster, where the keys that a script declares must be of one slot. Those that it
 * does not declare need only be the node's own (scriptVerifyClusterState in Redis' script.c).
 */
export const sameSlotScript = `${unlessWritten('ARGV[#ARGV - 2]', 'ARGV[#ARGV - 1]')}\
for place = 1, #ARGV - 3 do
  local answer = redis.pcall(ARGV[#ARGV], ARGV[place])
  if type(answer) == 'table' then
    refused[4] = answer.err
    refused[#refused + 1] = place
  else deleted = deleted + answer end
end
refused[3] = deleted
return refused`;

export const guardScriptSha = shaOf(guardScript);

export interface GuardOptions {
  /** One command takes keys of one slot only: it is a node of a cluster. */
  readonly sameSlot: boolean;
  /** How many keys one script deletes at most: the source serves nobody else meanwhile. */
  readonly limitKeys: () => number;
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
      if (removed !== 'removed' && isForgotten(removed.why) && !isAgain) {
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
      return { indexes: undefined, why };
    }
    const [changes, saves, deleted, text, ...indexes] = reply;
    if (typeof deleted !== 'number') {
      note(Number(textOf(changes)), textOf(saves));
      return changed;
    }
    ownDeletes += deleted;
    if (text === undefined) return 'removed';
    const kept = indexes.map((index) => Number(index) - 1).filter((index) => index < count);
    return { indexes: kept, why: new ErrorReply(textOf(text)) };
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
    if (removed === 'removed' || removed.indexes === undefined) resolve(removed);
    else {
      const indexes = removed.indexes.filter((index) => index >= from && index < to);
      const own = indexes.map((index) => index - from);
      resolve(own.length === 0 ? 'removed' : { indexes: own, why: removed.why });
    }
  }
}
