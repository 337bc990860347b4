/**
 * Small hashes, sets, sorted sets and lists of both sides, compared by what they hold, many at a time.
 * What can't be decided here counts as suspect, like what differs.
 */
import type { Connection } from '../redis/connection.js';
import { chosen, keyAt, namesOf } from '../redis/keys.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';
import type { Keys } from '../types.js';
import { scoreOf } from './ordered.js';
import { itemsOf } from './pair.js';
import { askReplies, type Ends, wordsAround } from './ask-many.js';
import { isUnknownCommand } from './unordered.js';

interface Kind {
  readonly words: ReturnType<typeof wordsAround>;
  isSame(ours: readonly Reply[], theirs: readonly Reply[]): boolean;
}

const kinds: Readonly<Record<string, Kind>> = {
  hash: { words: wordsAround(['HGETALL'], []), isSame: samePairs },
  set: { words: wordsAround(['SMEMBERS'], []), isSame: sameMembers },
  zset: { words: wordsAround(['ZRANGE'], [0, -1, 'WITHSCORES']), isSame: sameScores },
  list: { words: wordsAround(['LRANGE'], [0, -1]), isSame: sameItems },
};

/** Whether contents of this type can be asked for at one time, and compared. */
export function isComparable(type: string | undefined): boolean {
  return type !== undefined && Object.hasOwn(kinds, type);
}

/**
 * @param types of the keys, as TYPE names them.
 * @returns places of those that differ, or may.
 */
export async function contentsApart(
  ends: Ends,
  keys: Keys,
  types: readonly string[],
): Promise<readonly number[]> {
  const apart: number[] = [];
  for (let place = 0; place < keys.count; place++) {
    if (!isComparable(types[place])) apart.push(place);
  }
  await Promise.all(
    Object.entries(kinds).map(async ([type, kind]) => {
      const places = [...types.keys()].filter((place) => types[place] === type);
      if (places.length === 0) return;
      const some = chosen(keys, places);
      const [ours, theirs] = await Promise.all([
        askReplies(ends.source, some, kind.words),
        askReplies(ends.node, namesOf(some), kind.words),
      ]);
      const isEqual = places.map((_, at) => {
        const [one, other] = [itemsOf(ours[at]), itemsOf(theirs[at])];
        return one.length > 0 && one.length === other.length && kind.isSame(one, other);
      });
      const equal = places.flatMap((_, at) => (isEqual[at] === true ? [at] : []));
      apart.push(...places.filter((_, at) => isEqual[at] !== true));
      if (type !== 'hash') return;
      const late = await withDeadlines(
        ends,
        chosen(some, equal),
        equal.map((at) => ours[at]),
      );
      apart.push(...late.map((at) => places[equal[at] as number] as number));
    }),
  );
  return apart;
}

/** Servers that have been found not to know deadlines of fields (before Redis 7.4 and Valkey 9.0). */
const withoutFieldDeadlines = new WeakSet<Connection>();

/** @returns places of hashes of which some field has a deadline, on either side. */
async function withDeadlines(
  { source, node }: Ends,
  keys: Keys,
  contents: readonly (Reply | undefined)[],
): Promise<readonly number[]> {
  const [ours, theirs] = await Promise.all([
    haveDeadlines(source, keys, contents),
    haveDeadlines(node, namesOf(keys), contents),
  ]);
  return [...contents.keys()].filter((at) => ours[at] === true || theirs[at] === true);
}

async function haveDeadlines(
  connection: Connection,
  keys: Keys,
  contents: readonly (Reply | undefined)[],
): Promise<readonly boolean[]> {
  if (withoutFieldDeadlines.has(connection)) return [];
  return Promise.all(
    contents.map(async (reply, place) => {
      const names = itemsOf(reply).filter((_, at) => at % 2 === 0) as Buffer[];
      const words = ['HPTTL', keyAt(keys, place), 'FIELDS', names.length, ...names];
      const answer = await connection.call(...words);
      if (!(answer instanceof ErrorReply)) {
        return itemsOf(answer).some((ttlMs) => Number(ttlMs) >= 0);
      }
      const isUnknown = isUnknownCommand(answer.text);
      if (isUnknown) withoutFieldDeadlines.add(connection);
      return !isUnknown;
    }),
  );
}

function sameItems(ours: readonly Reply[], theirs: readonly Reply[]): boolean {
  return ours.every((item, at) => isSame(item, theirs[at]));
}

function isSame(one: Reply | undefined, other: Reply | undefined): boolean {
  return Buffer.isBuffer(one) && Buffer.isBuffer(other) && one.equals(other);
}

/** Fields and values, in whatever order. */
function samePairs(ours: readonly Reply[], theirs: readonly Reply[]): boolean {
  if (sameItems(ours, theirs)) return true;
  const values = new Map<string, Reply>();
  for (let at = 0; at < theirs.length; at += 2) {
    values.set(textOf(theirs[at]), theirs[at + 1] as Reply);
  }
  return ours.every((item, at) => at % 2 === 0 || isSame(item, values.get(textOf(ours[at - 1]))));
}

function sameMembers(ours: readonly Reply[], theirs: readonly Reply[]): boolean {
  if (sameItems(ours, theirs)) return true;
  const members = new Set(theirs.map(textOf));
  return ours.every((item) => members.has(textOf(item)));
}

/** Members and scores by rank; servers write the same score in different ways. */
function sameScores(ours: readonly Reply[], theirs: readonly Reply[]): boolean {
  return ours.every(
    (item, at) =>
      isSame(item, theirs[at]) ||
      (at % 2 === 1 && scoreOf(textOf(item)) === scoreOf(textOf(theirs[at]))),
  );
}
