/**
 * Every type but streams: what is read is sent as it came. Hashes may have fields with deadlines
 * (since 7.4).
 */
import { chosen, keyAt, keysBuilder } from '../../redis/keys.js';
import type { Keys } from '../../types.js';
import { type Copier, type Passage, sendElements } from './writer.js';
import { askFrames, askReply, pages, sliceBytes } from './reading.js';

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

export const copyList: Copier = async ({ source, key, writer, temporary, slice, sent }) => {
  for (let from = 0, last = false; !last;) {
    const { count } = slice;
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
    sendElements(writer, ['ZADD', temporary], swapPairs(others), 2);
    await sent(items.count / 2, items.bytes.length);
  }
  for (const pairs of zeros) sendElements(writer, ['ZADD', temporary], swapPairs(pairs), 2);
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
  const both = (indexes: readonly number[]): Keys =>
    chosen(
      pairs,
      indexes.flatMap((at) => [at, at + 1]),
    );
  return {
    others: both(members.filter((at) => !isNegativeZero(at))),
    negativeZeros: both(negative),
  };
}

/** A score that small sorted sets lose the sign of. */
export const negativeZero = Buffer.from('-0');

/** What HPEXPIRETIME says of a field without one, and of a field that is not there. */
const noDeadline = -1;
const noField = -2;

export const copyHash: Copier = async (passage) => {
  const { writer, temporary, abilities } = passage;
  for await (const { items } of pages(passage, 'HSCAN')) {
    // HSET takes several fields since 4.0 only.
    if (!abilities.readsFieldDeadlines || items.count === 0) {
      sendElements(writer, ['HMSET', temporary], items, 2);
    } else {
      const obstacle = await sendWithDeadlines(passage, items);
      if (obstacle !== undefined) return obstacle;
    }
    await passage.sent(items.count / 2, items.bytes.length);
  }
  return undefined;
};

async function sendWithDeadlines(passage: Passage, items: Keys): Promise<string | undefined> {
  const { source, key, writer, temporary, abilities } = passage;
  const indexes = Array.from({ length: items.count / 2 }, (_, at) => at * 2);
  const fields = chosen(items, indexes);
  // In ms since the epoch, by the source's clock.
  const reply = await askReply(source, ['HPEXPIRETIME', key, 'FIELDS', fields.count], fields);
  const deadlines = Array.isArray(reply) ? reply : [];
  const there = indexes.filter((at) => deadlines[at / 2] !== noField);
  const pairs = there.flatMap((at) => [at, at + 1]);
  sendElements(writer, ['HMSET', temporary], chosen(items, pairs), 2);
  const expiring = there.filter((at) => deadlines[at / 2] !== noDeadline);
  if (expiring.length > 0 && !abilities.takesFieldDeadlines) {
    return 'it has fields that expire, which the node does not know';
  }
  for (const at of expiring) {
    const deadlineMs = Number(deadlines[at / 2]) - abilities.sourceSkewMs + abilities.nodeSkewMs;
    writer.send(['HPEXPIREAT', temporary, deadlineMs, 'FIELDS', 1, keyAt(items, at)]);
  }
  return undefined;
}

/** Pairs the other way round: ZSCAN answers with members first, ZADD wants scores first. */
export function swapPairs(pairs: Keys): Keys {
  const builder = keysBuilder(pairs.count);
  for (let at = 0; at + 1 < pairs.count; at += 2) {
    const first = pairs.starts[at] as number;
    const second = pairs.starts[at + 1] as number;
    builder.add(pairs.bytes, second, pairs.starts[at + 2] as number);
    builder.add(pairs.bytes, first, second);
  }
  return builder.take();
}
