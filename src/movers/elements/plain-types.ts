/** Strings, lists, sets and sorted sets: what is read is sent as it came. */
import { chosen, keyAt } from '../../redis/keys.js';
import type { Keys } from '../../types.js';
import { sendElements, swapped } from './frames.js';
import { sliceBytes } from './pace.js';
import type { ElementPage } from './page.js';
import type { Copier, Passage } from './passage.js';
import { askFrames, askPage } from './questions.js';

export const copyString: Copier = async ({ source, key, writer, temporary, sent }) => {
  for (let from = 0, last = false; !last; from += sliceBytes) {
    const piece = await askFrames(source, 'one', 'GETRANGE', key, from, from + sliceBytes - 1);
    // SET once, so that an empty string arrives too.
    writer.send([from === 0 ? 'SET' : 'APPEND', temporary], piece);
    last = piece.bytes.length < sliceBytes;
    await sent(1, piece.bytes.length);
  }
  return undefined;
};

export const copyList: Copier = async ({ source, key, writer, temporary, pace, sent }) => {
  for (let from = 0, last = false; !last;) {
    const { count } = pace;
    const items = await askFrames(source, 'array', 'LRANGE', key, from, from + count - 1);
    sendElements(writer, ['RPUSH', temporary], items, 1);
    from += items.count;
    last = items.count < count;
    await sent(items.count, items.bytes.length);
  }
  return undefined;
};

export const copySet: Copier = async (passage) => {
  for await (const { items } of pages(passage, 'SSCAN')) {
    sendElements(passage.writer, ['SADD', passage.temporary], items, 1);
    await passage.sent(items.count, items.bytes.length);
  }
  return undefined;
};

/**
 * Scores pass as the text that the source gives: 17 digits, or as many as tell a double from its
 * neighbours, which every server reads back as the same double.
 *
 * But one: as long as a sorted set is small, servers since 7.0 keep -0 as 0. So it comes last.
 */
export const copySortedSet: Copier = async (passage) => {
  const { writer, temporary, sent } = passage;
  const zeros: Keys[] = [];
  let elements = 0;
  for await (const { items } of pages(passage, 'ZSCAN')) {
    const { others, negativeZeros } = elements < smallElements ? parted(items) : { others: items };
    if (negativeZeros) zeros.push(negativeZeros);
    elements += items.count / 2;
    sendElements(writer, ['ZADD', temporary], swapped(others), 2);
    await sent(items.count / 2, items.bytes.length);
  }
  for (const pairs of zeros) sendElements(writer, ['ZADD', temporary], swapped(pairs), 2);
  await sent(0, 0);
  return undefined;
};

/** What servers keep as small has fewer elements, unless their owners went to extremes. */
const smallElements = 2000;

function parted(pairs: Keys): { others: Keys; negativeZeros?: Keys } {
  const members = Array.from({ length: pairs.count / 2 }, (_, at) => at * 2);
  const isNegativeZero = (at: number): boolean => keyAt(pairs, at + 1).equals(negativeZero);
  const negative = members.filter(isNegativeZero);
  if (negative.length === 0) return { others: pairs };
  const both = (places: readonly number[]): Keys =>
    chosen(
      pairs,
      places.flatMap((at) => [at, at + 1]),
    );
  return {
    others: both(members.filter((at) => !isNegativeZero(at))),
    negativeZeros: both(negative),
  };
}

const negativeZero = Buffer.from('-0');

/**
 * A whole scan. It may give elements twice, which does no harm; and what is written meanwhile it
 * may give or not, which is why the key must not have been touched when it leaves the source.
 */
export async function* pages(
  { source, key, pace }: Passage,
  word: 'SSCAN' | 'HSCAN' | 'ZSCAN',
): AsyncGenerator<ElementPage> {
  for (let cursor = '0', last = false; !last;) {
    const page = await askPage(source, word, key, cursor, 'COUNT', pace.count);
    cursor = page.cursor;
    last = cursor === '0';
    yield page;
  }
}
