/**
 * Hashes and sets: one side's are listed page by page, and the other is asked for just these. With
 * as many on both sides, that all of one's are at the other's is enough.
 */
import { RefusedError } from '../../errors.js';
import { type Reply, textOf } from '../../redis/reply.js';
import {
  alike,
  type Asker,
  askBoth,
  type Comparison,
  itemsOf,
  lengthsApart,
  type Pair,
  quoteName,
} from './asker.js';

export const sets: Comparison = async (pair) => {
  const { key } = pair;
  const apart = lengthsApart(pair, await askBoth(pair, 'SCARD', key), 'members');
  if (apart !== undefined) return apart;
  for await (const members of pagesOf('SSCAN', pair)) {
    const there = await Promise.all(
      members.map((member) => pair.cluster(['SISMEMBER', key, member as Buffer])),
    );
    const at = there.findIndex((answer) => answer !== 1);
    if (at !== -1) return `member ${quoteName(members[at])} is not ${pair.places.there}`;
  }
  return undefined;
};

export const hashes: Comparison = async (pair) => {
  const { key } = pair;
  const apart = lengthsApart(pair, await askBoth(pair, 'HLEN', key), 'fields');
  if (apart !== undefined) return apart;
  for await (const items of pagesOf('HSCAN', pair)) {
    const names = items.filter((_, at) => at % 2 === 0) as Buffer[];
    if (names.length === 0) continue;
    const theirs = itemsOf(await pair.cluster(['HMGET', key, ...names]));
    const at = names.findIndex((_, place) => !alike(items[place * 2 + 1], theirs[place]));
    if (at !== -1) {
      const how = theirs[at] === null ? `is not ${pair.places.there}` : 'differs';
      return `field ${quoteName(names[at])} ${how}`;
    }
    const late = await deadlinesApart(pair, names);
    if (late !== undefined) return late;
  }
  return undefined;
};

async function* pagesOf(word: string, { key, source, perSlice }: Pair): AsyncIterable<Reply[]> {
  let cursor = '0';
  do {
    const [next, items] = itemsOf(await source([word, key, cursor, 'COUNT', perSlice]));
    cursor = textOf(next);
    yield [...itemsOf(items)];
  } while (cursor !== '0' && cursor !== '');
}

/** Fields have deadlines of their own since 7.4; a server that does not know the word has none. */
async function deadlinesApart(pair: Pair, names: readonly Buffer[]): Promise<string | undefined> {
  const words = ['HPTTL', pair.key, 'FIELDS', names.length, ...names];
  const [ours, theirs] = await Promise.all([
    deadlines(pair.source, words),
    deadlines(pair.cluster, words),
  ]);
  const at = names.findIndex((_, place) => {
    const [ttlMs, other] = [ours[place] ?? -1, theirs[place] ?? -1];
    if (ttlMs < 0 || other < 0) return ttlMs < 0 !== other < 0;
    return Math.abs(ttlMs - other) > pair.toleranceMs;
  });
  return at === -1 ? undefined : `the deadline of field ${quoteName(names[at])} differs`;
}

async function deadlines(ask: Asker, words: (string | number | Buffer)[]): Promise<number[]> {
  try {
    return itemsOf(await ask(words)).map(Number);
  } catch (error) {
    if (error instanceof RefusedError && /unknown command/i.test(error.reply)) return [];
    throw error;
  }
}
