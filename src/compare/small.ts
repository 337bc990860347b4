/**
 * Small values of both sides, compared by what they hold, many at a time. Most that are equal are told in
 * the same bytes; only the others are looked into. What can't be decided here counts as suspect, like
 * what differs.
 */
import type { Connection } from '../redis/connection.js';
import { chosen, keyAt, namesOf } from '../redis/frames.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';
import type { Keys } from '../types.js';
import { askRaw, type Ends, wordsAround } from './ask-many.js';
import { isUnknownCommand, scoreOf, standAlike } from './contents.js';
import { itemsOf } from './pair.js';
import { areAlike, haveSameRows, isFull, type RawReplies, replyAt } from './raw-replies.js';

/** What is asked of each key of a type, and when answers in unequal bytes are equal. */
interface Kind {
  readonly words: ReturnType<typeof wordsAround>;
  readonly isSame: (ours: RawReplies, theirs: RawReplies, place: number) => boolean;
  /** What the answers don't tell. @returns places of those that are suspect. */
  readonly more?: (ends: Ends, keys: Keys, ours: RawReplies) => Promise<readonly number[]>;
}

const never = (): boolean => false;

const kinds: Readonly<Record<string, Kind>> = {
  string: { words: wordsAround(['GET'], []), isSame: never },
  list: { words: wordsAround(['LRANGE'], [0, -1]), isSame: never },
  hash: {
    words: wordsAround(['HGETALL'], []),
    isSame: (ours, theirs, place) => haveSameRows(ours, theirs, place, 2),
    more: withDeadlines,
  },
  set: {
    words: wordsAround(['SMEMBERS'], []),
    isSame: (ours, theirs, place) => haveSameRows(ours, theirs, place, 1),
  },
  zset: { words: wordsAround(['ZRANGE'], [0, -1, 'WITHSCORES']), isSame: sameScores },
  stream: { words: wordsAround(['XRANGE'], ['-', '+']), isSame: never, more: standingApart },
};

/** Whether contents of this type can be asked for at one time, and compared. */
function isComparable(type: string | undefined): boolean {
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
      const late = await kindApart(ends, chosen(keys, places), kind);
      apart.push(...late.map((at) => places[at] as number));
    }),
  );
  return apart;
}

async function kindApart(
  ends: Ends,
  keys: Keys,
  { words, isSame, more }: Kind,
): Promise<readonly number[]> {
  const [ours, theirs] = await Promise.all([
    askRaw(ends.source, keys, words),
    askRaw(ends.node, namesOf(keys), words),
  ]);
  const [equal, apart] = [[] as number[], [] as number[]];
  for (let place = 0; place < keys.count; place++) {
    const isEqual =
      isFull(ours, place) && (areAlike(ours, theirs, place) || isSame(ours, theirs, place));
    (isEqual ? equal : apart).push(place);
  }
  if (!more || equal.length === 0) return apart;
  const late = await more(ends, chosen(keys, equal), chosen(ours, equal));
  return [...apart, ...late.map((at) => equal[at] as number)];
}

/** Members and scores by rank; servers write the same score in different ways. */
function sameScores(ours: RawReplies, theirs: RawReplies, place: number): boolean {
  const [some, others] = [itemsOf(replyAt(ours, place)), itemsOf(replyAt(theirs, place))];
  return (
    some.length === others.length &&
    some.every((item, at) => {
      const [text, other] = [textOf(item), textOf(others[at])];
      return text === other || (at % 2 === 1 && scoreOf(text) === scoreOf(other));
    })
  );
}

const streamWords = wordsAround(['XINFO', 'STREAM'], []);

/** @returns places of streams with equal entries that stand elsewhere, or have groups. */
async function standingApart({ source, node }: Ends, keys: Keys): Promise<readonly number[]> {
  const [ours, theirs] = await Promise.all([
    askRaw(source, keys, streamWords),
    askRaw(node, namesOf(keys), streamWords),
  ]);
  return placesOf(keys, (place) => !standAlike(replyAt(ours, place), replyAt(theirs, place)));
}

/** Servers that have been found not to know deadlines of fields (before Redis 7.4 and Valkey 9.0). */
const withoutFieldDeadlines = new WeakSet<Connection>();

/** @returns places of hashes of which some field has a deadline, on either side. */
async function withDeadlines(
  { source, node }: Ends,
  keys: Keys,
  contents: RawReplies,
): Promise<readonly number[]> {
  const [ours, theirs] = await Promise.all([
    haveDeadlines(source, keys, contents),
    haveDeadlines(node, namesOf(keys), contents),
  ]);
  return placesOf(keys, (place) => ours[place] === true || theirs[place] === true);
}

async function haveDeadlines(
  connection: Connection,
  keys: Keys,
  contents: RawReplies,
): Promise<readonly boolean[]> {
  if (withoutFieldDeadlines.has(connection)) return [];
  return Promise.all(
    Array.from({ length: keys.count }, async (_, place) => {
      const items: readonly Reply[] = itemsOf(replyAt(contents, place));
      const names = items.filter((_item, at) => at % 2 === 0) as Buffer[];
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

function placesOf({ count }: Keys, isWanted: (place: number) => boolean): number[] {
  const found: number[] = [];
  for (let place = 0; place < count; place++) if (isWanted(place)) found.push(place);
  return found;
}
