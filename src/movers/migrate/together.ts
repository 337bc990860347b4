/**
 * One MIGRATE for many keys, in a transaction with the questions that its answer leaves open.
 *
 * `+OK` does not say how many of the keys there were, and an error says nothing of those that were
 * moved before it. Asked afterwards, a key that was moved and has been written anew since would look
 * like one that was not moved, and would overwrite at the node what was moved there.
 */
import { createHash } from 'node:crypto';
import { nextReply } from '../../redis/ask.js';
import type { Connection } from '../../redis/connection.js';
import { command, commandHead } from '../../redis/frames.js';
import { chosen, keyAt } from '../../redis/keys.js';
import { ErrorReply, type Reply, textOf } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import { migrateMany, type MigrateWords } from './words.js';

export interface Together {
  /** How many of the keys there were before. */
  readonly presentBefore: number;
  readonly answer: Reply;
  /** Which keys the source still had right behind it; undefined: it did not tell. */
  left(): Left | undefined;
}

export interface Left {
  readonly present: Keys;
  readonly absent: Keys;
}

/**
 * Which of the keys there are, as a row of 0 and 1; only their count where that says it all. Where
 * scripts may run this takes one command; else each key takes one of its own, queued and answered.
 */
const presenceScript = `local count = redis.call('EXISTS', unpack(KEYS))
if count == 0 then return count end
local present = {}
for place, key in ipairs(KEYS) do present[place] = redis.call('EXISTS', key) end
return table.concat(present)`;
const presenceSha = createHash('sha1').update(presenceScript).digest('hex');

const begin = command('MULTI');
const end = command('EXEC');

/** To be called once for a connection on which scripts are used. */
export function preparePresence(source: Connection): void {
  source.call('SCRIPT', 'LOAD', presenceScript).catch(() => undefined);
}

/** @param scripts whether the source lets scripts run. */
export async function migrateTogether(
  source: Connection,
  words: MigrateWords,
  keys: Keys,
  scripts: boolean,
): Promise<Together> {
  const { out } = source;
  out.append(begin);
  out.append(commandHead(keys.count, 'EXISTS'));
  out.append(keys.bytes);
  out.append(migrateMany(words, keys));
  if (scripts) {
    out.append(commandHead(keys.count, 'EVALSHA', presenceSha, keys.count));
    out.append(keys.bytes);
  } else {
    for (let place = 0; place < keys.count; place++) {
      out.append(command('EXISTS', keyAt(keys, place)));
    }
  }
  out.append(end);
  const queuedCount = 3 + (scripts ? 1 : keys.count);
  const queued = Array.from({ length: queuedCount }, () => nextReply(source));
  const [result] = await Promise.all([nextReply(source), ...queued]);
  // The transaction itself was refused: nothing was done.
  if (!Array.isArray(result)) {
    const answer = result instanceof ErrorReply ? result : new ErrorReply('ERR no answer to EXEC');
    return { presentBefore: 0, answer, left: () => ({ present: keys, absent: chosen(keys, []) }) };
  }
  const [presentBefore, answer = null, ...presence] = result;
  return { presentBefore: Number(presentBefore), answer, left: () => leftOf(keys, presence) };
}

function leftOf(keys: Keys, presence: readonly Reply[]): Left | undefined {
  const [first] = presence;
  if (first instanceof ErrorReply) return undefined;
  const isRow = Buffer.isBuffer(first);
  const row = isRow ? textOf(first) : presence.map(textOf).join('');
  const places = (sign: string): number[] =>
    Array.from({ length: keys.count }, (_, place) => place).filter(
      (place) => (row[place] ?? '0') === sign,
    );
  return { present: chosen(keys, places('1')), absent: chosen(keys, places('0')) };
}
