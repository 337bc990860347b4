/** What has an order on the server: strings by their bytes, lists by place, sorted sets by rank. */
import { textOf } from '../../redis/reply.js';
import { alike, askBoth, type Comparison, itemsOf, lengthsApart, quoteName } from './asker.js';

const sliceBytes = 1024 * 1024;

export const strings: Comparison = async (pair) => {
  const { key } = pair;
  const lengths = await askBoth(pair, 'STRLEN', key);
  const apart = lengthsApart(pair, lengths, 'bytes');
  if (apart !== undefined) return apart;
  for (let from = 0; from < Number(lengths[0]); from += sliceBytes) {
    const [one, other] = await askBoth(pair, 'GETRANGE', key, from, from + sliceBytes - 1);
    if (alike(one, other)) continue;
    if (!Buffer.isBuffer(one) || !Buffer.isBuffer(other)) return 'its bytes differ';
    const at = one.findIndex((byte, place) => byte !== other[place]);
    return `byte ${String(from + Math.max(0, at))} of ${textOf(lengths[0])} differs`;
  }
  return undefined;
};

export const lists: Comparison = async (pair) => {
  const { key, perSlice } = pair;
  const lengths = await askBoth(pair, 'LLEN', key);
  const apart = lengthsApart(pair, lengths, 'elements');
  if (apart !== undefined) return apart;
  for (let from = 0; from < Number(lengths[0]); from += perSlice) {
    const [one, other] = await askBoth(pair, 'LRANGE', key, from, from + perSlice - 1);
    if (alike(one, other)) continue;
    const theirs = itemsOf(other);
    const at = itemsOf(one).findIndex((item, place) => !alike(item, theirs[place]));
    return `element ${String(from + Math.max(0, at))} of ${textOf(lengths[0])} differs`;
  }
  return undefined;
};

/** Scores are compared as numbers, because servers write the same one in different ways. */
export const sortedSets: Comparison = async (pair) => {
  const { key, perSlice } = pair;
  const { here, there } = pair.places;
  const lengths = await askBoth(pair, 'ZCARD', key);
  const apart = lengthsApart(pair, lengths, 'members');
  if (apart !== undefined) return apart;
  for (let from = 0; from < Number(lengths[0]); from += perSlice) {
    const last = from + perSlice - 1;
    const replies = await askBoth(pair, 'ZRANGE', key, from, last, 'WITHSCORES');
    const [ours, theirs] = [itemsOf(replies[0]), itemsOf(replies[1])];
    for (let at = 0; at < Math.max(ours.length, theirs.length); at += 2) {
      if (!alike(ours[at], theirs[at])) {
        return `the member of rank ${String(from + at / 2)} is ${quoteName(ours[at])} ${here}, ${quoteName(theirs[at])} ${there}`;
      }
      const [score, other] = [textOf(ours[at + 1]), textOf(theirs[at + 1])];
      if (scoreOf(score) !== scoreOf(other)) {
        return `the score of ${quoteName(ours[at])} is ${score} ${here}, ${other} ${there}`;
      }
    }
  }
  return undefined;
};

/** As a number; what is none is equal to nothing. */
export function scoreOf(text: string): number {
  return Number(text.replace('inf', 'Infinity'));
}
