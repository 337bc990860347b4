/**
 * One MIGRATE for many keys, in a transaction with the questions that its answer leaves open.
 *
 * `+OK` does not say how many of the keys there were, and an error says nothing of those that were
 * moved before it. Asked afterwards, a key that was moved and has been written anew since would look
 * like one that was not moved, and would overwrite at the node what was moved there.
 */
import type { Connection } from '../../redis/connection.js';
import { command, commandHead } from '../../redis/frames.js';
import { chosen, keyAt } from '../../redis/keys.js';
import { ErrorReply, type Reply, ReplyReader } from '../../redis/reply.js';
import type { Keys } from '../../types.js';
import { migrateMany, type MigrateWords } from './words.js';

export interface Together {
  /** How many of the keys there were before. */
  readonly presentBefore: number;
  readonly answer: Reply;
  /** Which keys the source still had right behind it. */
  readonly present: Keys;
  readonly absent: Keys;
}

const begin = command('MULTI');
const end = command('EXEC');

export async function migrateTogether(
  source: Connection,
  words: MigrateWords,
  keys: Keys,
): Promise<Together> {
  const { out } = source;
  out.append(begin);
  out.append(commandHead(keys.count, 'EXISTS'));
  out.append(keys.bytes);
  out.append(migrateMany(words, keys));
  for (let place = 0; place < keys.count; place++) {
    out.append(command('EXISTS', keyAt(keys, place)));
  }
  out.append(end);
  const queued = Array.from({ length: keys.count + 3 }, () => nextReply(source));
  const [result] = await Promise.all([nextReply(source), ...queued]);
  // The transaction itself was refused: nothing was done.
  if (!Array.isArray(result)) {
    const answer = result instanceof ErrorReply ? result : new ErrorReply('ERR no answer to EXEC');
    return { presentBefore: 0, answer, present: keys, absent: chosen(keys, []) };
  }
  const [presentBefore, answer = null, ...presence] = result;
  const places = (wanted: boolean): number[] =>
    presence.flatMap((reply, place) => ((reply === 1) === wanted ? [place] : []));
  return {
    presentBefore: Number(presentBefore),
    answer,
    present: chosen(keys, places(true)),
    absent: chosen(keys, places(false)),
  };
}

function nextReply(source: Connection): Promise<Reply> {
  return new Promise((resolve, reject) => {
    source.expect(new ReplyReader(resolve, reject));
  });
}
