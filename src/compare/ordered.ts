/** What has an order on the server: strings by their bytes, lists by index, sorted sets by rank. */
import { textOf } from '../redis/reply.js';
import {
  alike,
  askBoth,
  type ContentsComparison,
  itemsOf,
  lengthsApart,
  quoteName,
} from './pair.js';

const sliceBytes = 1024 * 1024;

export const strings: ContentsComparison = async (pair) => {
  const lengths = await askBoth(pair, 'STRLEN');
  const apart = lengthsApart(pair, lengths, 'bytes');
  if (apart !== undefined) return apart;
  for (let from = 0; from < Number(lengths[0]); from += sliceBytes) {
    const [one, other] = await askBoth(pair, 'GETRANGE', from, from + sliceBytes - 1);
    if (alike(one, other)) continue;
    if (!Buffer.isBuffer(one) || !Buffer.isBuffer(other)) return 'its bytes differ';
    const at = one.findIndex((byte, place) => byte !== other[place]);
    return `byte ${String(from + Math.max(0, at))} of ${textOf(lengths[0])} differs`;
  }
  return undefined;
};

export const lists: ContentsComparison = async (pair) => {
  const { perSlice } = pair;
  const lengths = await askBoth(pair, 'LLEN');
  const apart = lengthsApart(pair, lengths, 'elements');
  if (apart !== undefined) return apart;
  for (let from = 0; from < Number(lengths[0]); from += perSlice) {
    const [one, other] = await askBoth(pair, 'LRANGE', from, from + perSlice - 1);
    if (alike(one, other)) continue;
    const theirs = itemsOf(other);
    const at = itemsOf(one).findIndex((item, place) => !alike(item, theirs[place]));
    return `element ${String(from + Math.max(0, at))} of ${textOf(lengths[0])} differs`;
  }
  return undefined;
};

/** Scores are compared as numbers, because servers write the same one in different ways. */
export const sortedSets: ContentsComparison = async (pair) => {
  const { perSlice, source, target } = pair;
  const lengths = await askBoth(pair, 'ZCARD');
  const apart = lengthsApart(pair, lengths, 'members');
  if (apart !== undefined) return apart;
  for (let from = 0; from < Number(lengths[0]); from += perSlice) {
    const replies = await askBoth(pair, 'ZRANGE', from, from + perSlice - 1, 'WITHSCORES');
    const [ours, theirs] = [itemsOf(replies[0]), itemsOf(replies[1])];
    for (let at = 0; at < Math.max(ours.length, theirs.length); at += 2) {
      if (!alike(ours[at], theirs[at])) {
        return `the member of rank ${String(from + at / 2)} is ${quoteName(ours[at])} ${source.where}, ${quoteName(theirs[at])} ${target.where}`;
      }
      const [score, other] = [textOf(ours[at + 1]), textOf(theirs[at + 1])];
      if (scoreOf(score) !== scoreOf(other)) {
        return `the score of ${quoteName(ours[at])} is ${score} ${source.where}, ${other} ${target.where}`;
      }
    }
  }
  return undefined;
};

/** As a number; what is none is equal to nothing. */
export function scoreOf(text: string): number {
  return Number(text.replace('inf', 'Infinity'));
}
