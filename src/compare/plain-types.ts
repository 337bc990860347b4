/**
 * Contents of every type but streams, in slices. What has an order on the server is compared along it: strings by
 * their bytes, lists by index, sorted sets by rank. Hashes and sets have none.
 */
import { textOf, type Reply } from '../redis/reply.js';
import {
  alike,
  askBoth,
  type ContentsComparison,
  itemsOf,
  lengthsApart,
  quoteName,
  type Copy,
  type Pair,
} from './pair.js';
import { RefusedError } from '../errors.js';
import { type DeadlineSpan, deadlineSpan, msApart } from '../redis/deadline.js';

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

/*
 * Hashes and sets: one side's elements are listed page by page, and the other is asked for just these.
 * With as many on both sides, that all of one's are at the other's is enough; but for hashes whose
 * fields have deadlines.
 */

export const sets: ContentsComparison = async (pair) => {
  const { source, target, perSlice } = pair;
  const apart = lengthsApart(pair, await askBoth(pair, 'SCARD'), 'members');
  if (apart !== undefined) return apart;
  for await (const members of pagesOf(source, 'SSCAN', perSlice)) {
    const there = await Promise.all(
      members.map((member) => target.ask('SISMEMBER', member as Buffer)),
    );
    const at = there.findIndex((answer) => answer !== 1);
    if (at !== -1) return `member ${quoteName(members[at])} is not ${target.where}`;
  }
  return undefined;
};

export const hashes: ContentsComparison = async (pair) => {
  const { source, target } = pair;
  const apart = lengthsApart(pair, await askBoth(pair, 'HLEN'), 'fields');
  // A field that has expired counts until the server gets round to it (HLEN in t_hash.c). So where
  // fields may have deadlines lengths prove nothing, and each side's are looked for at the other.
  const areCounts = !(await haveFieldDeadlines(pair));
  if (apart !== undefined && areCounts) return apart;
  return (
    (await fieldsApart(pair)) ??
    (areCounts ? undefined : await fieldsApart({ ...pair, source: target, target: source }))
  );
};

async function fieldsApart(pair: Pair): Promise<string | undefined> {
  const { source, target, perSlice } = pair;
  for await (const items of pagesOf(source, 'HSCAN', perSlice)) {
    const names = items.filter((_, at) => at % 2 === 0) as Buffer[];
    if (names.length === 0) continue;
    const theirs = itemsOf(await target.ask('HMGET', ...names));
    const at = names.findIndex((_, place) => !alike(items[place * 2 + 1], theirs[place]));
    if (at !== -1) {
      const how = theirs[at] === null ? `is not ${target.where}` : 'differs';
      return `field ${quoteName(names[at])} ${how}`;
    }
    const late = await deadlinesApart(pair, names);
    if (late !== undefined) return late;
  }
  return undefined;
}

async function* pagesOf(copy: Copy, word: string, perSlice: number): AsyncIterable<Reply[]> {
  let cursor = '0';
  do {
    const [next, items] = itemsOf(await copy.ask(word, cursor, 'COUNT', perSlice));
    cursor = textOf(next);
    yield [...itemsOf(items)];
  } while (cursor !== '0' && cursor !== '');
}

async function deadlinesApart(
  { source, target, toleranceMs }: Pair,
  names: readonly Buffer[],
): Promise<string | undefined> {
  const [ours, theirs] = await Promise.all([
    fieldDeadlines(source, names),
    fieldDeadlines(target, names),
  ]);
  const at = names.findIndex((_, place) => {
    const [one, other] = [ours?.[place], theirs?.[place]];
    return one && other ? msApart(one, other) > toleranceMs : one !== other;
  });
  return at === -1 ? undefined : `the deadline of field ${quoteName(names[at])} differs`;
}

/** Whether some field may have a deadline: the servers of both sides know of such, or one does. */
async function haveFieldDeadlines({ source, target }: Pair): Promise<boolean> {
  const known = await Promise.all(
    [source, target].map((copy) => fieldDeadlines(copy, [Buffer.alloc(0)])),
  );
  return known.some((deadlines) => deadlines !== undefined);
}

/**
 * When each of these fields expires, undefined where it does not. Fields have deadlines since Redis
 * 7.4 and Valkey 9.0; a server that does not know the command has none: then it is undefined.
 */
async function fieldDeadlines(
  copy: Copy,
  names: readonly Buffer[],
): Promise<readonly (DeadlineSpan | undefined)[] | undefined> {
  const askedMs = Date.now();
  try {
    const reply = await copy.ask('HPTTL', 'FIELDS', names.length, ...names);
    return itemsOf(reply).map((ttlMs) => deadlineSpan(Number(ttlMs), askedMs));
  } catch (error) {
    if (error instanceof RefusedError && isUnknownCommand(error.reply)) return undefined;
    throw error;
  }
}

export function isUnknownCommand(text: string): boolean {
  return /unknown command/i.test(text);
}
