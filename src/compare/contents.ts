/**
 * Contents of every type, in slices. What has an order on the server is compared along it: strings by
 * their bytes, lists by index, sorted sets by rank. Hashes and sets have none.
 */
import { RefusedError } from '../errors.js';
import type { Word } from '../redis/ask.js';
import { type Reply, textOf } from '../redis/reply.js';
import {
  alike,
  askBoth,
  type ContentsComparison,
  type Copy,
  type DeadlineSpan,
  deadlineSpan,
  itemsOf,
  lengthsApart,
  msApart,
  type Pair,
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

/*
 * Streams: their entries in order, their position, and each group with its consumers and what is
 * pending to them. When an entry was last delivered, and a consumer last seen, is no part of it: no
 * command sets these to the millisecond, and they go by while we look.
 *
 * Everything is asked for in parts, so that servers without XINFO STREAM FULL (before 6.0) tell as much
 * as others, and streams of any length do.
 */

export const streams: ContentsComparison = async (pair) =>
  (await entriesApart(pair)) ?? (await positionsApart(pair)) ?? (await groupsApart(pair));

function entriesApart(pair: Pair): Promise<string | undefined> {
  return rowsApart(
    pair,
    'XRANGE',
    (from) => [from, '+', 'COUNT', pair.perSlice],
    alike,
    (id) => `entry ${id} differs`,
  );
}

/** Where the stream stands; the last two exist since 7.0. */
const positionFields = ['last-generated-id', 'entries-added', 'max-deleted-entry-id'];

async function positionsApart(pair: Pair): Promise<string | undefined> {
  const [ours, theirs] = (await askBoth(pair, 'XINFO STREAM')).map(fieldsOf);
  const name = positionFields.find((field) => apartIn(field, ours, theirs));
  return name === undefined ? undefined : `its ${name} differs`;
}

/** Whether two answers to XINFO STREAM are of streams that stand at the same place, and have no groups. */
export function standAlike(one: Reply, other: Reply): boolean {
  const [ours, theirs] = [fieldsOf(one), fieldsOf(other)];
  const haveNone = [ours, theirs].every((fields) => fields.get('groups') === 0);
  return haveNone && !positionFields.some((field) => apartIn(field, ours, theirs));
}

type Fields = ReadonlyMap<string, Reply>;

/** The fields of an answer of names and values. */
function fieldsOf(reply: Reply): Fields {
  const items = itemsOf(reply);
  const fields = new Map<string, Reply>();
  for (let at = 0; at + 1 < items.length; at += 2) {
    fields.set(textOf(items[at]), items[at + 1] as Reply);
  }
  return fields;
}

/** Only what both servers report can differ. */
function apartIn(field: string, ours: Fields | undefined, theirs: Fields | undefined): boolean {
  if (ours?.has(field) !== true || theirs?.has(field) !== true) return false;
  return !alike(ours.get(field), theirs.get(field));
}

/** `entries-read` exists since 7.0; it is nil where the server lost count. */
const groupFields = ['last-delivered-id', 'entries-read', 'pending'];

async function groupsApart(pair: Pair): Promise<string | undefined> {
  const [ours, theirs] = (await askBoth(pair, 'XINFO GROUPS')).map(byName) as [Named, Named];
  const missing = absent(ours, theirs);
  if (missing !== undefined) return `group ${quoteName(missing)} is not ${pair.target.where}`;
  const extra = absent(theirs, ours);
  if (extra !== undefined) return `group ${quoteName(extra)} is not ${pair.source.where}`;
  for (const [id, group] of ours) {
    const name = group.get('name') as Buffer;
    const field = groupFields.find((one) => apartIn(one, group, theirs.get(id)));
    if (field !== undefined) return `${field} of group ${quoteName(name)} differs`;
    const how = (await consumersApart(pair, name)) ?? (await pendingApart(pair, name));
    if (how !== undefined) return how;
  }
  return undefined;
}

async function consumersApart(pair: Pair, group: Buffer): Promise<string | undefined> {
  const replies = await askBoth(pair, 'XINFO CONSUMERS', group);
  const [ours, theirs] = replies.map(byName) as [Named, Named];
  const missing = absent(ours, theirs);
  const extra = missing ?? absent(theirs, ours);
  if (extra === undefined) return undefined;
  const { where } = missing === undefined ? pair.source : pair.target;
  return `consumer ${quoteName(extra)} of group ${quoteName(group)} is not ${where}`;
}

/** Groups or consumers, by their names' bytes. */
type Named = ReadonlyMap<string, Fields>;

function byName(reply: Reply): Named {
  return new Map(
    itemsOf(reply).map((item) => {
      const fields = fieldsOf(item);
      return [textOf(fields.get('name')), fields];
    }),
  );
}

/** The name of one that others lack. */
function absent(some: Named, others: Named): Reply | undefined {
  for (const [id, fields] of some) if (!others.has(id)) return fields.get('name');
  return undefined;
}

function pendingApart(pair: Pair, group: Buffer): Promise<string | undefined> {
  return rowsApart(
    pair,
    'XPENDING',
    (from) => [group, from, '+', pair.perSlice],
    // Each is an id, a consumer, how long it idles and how often it was delivered.
    (one, other) => [0, 1, 3].every((at) => alike(itemsOf(one)[at], itemsOf(other)[at])),
    (id) => `pending entry ${id} of group ${quoteName(group)} differs`,
  );
}

/** Compares rows that begin with an id and come in its order, slice by slice. */
async function rowsApart(
  pair: Pair,
  command: string,
  argsFrom: (id: string) => readonly Word[],
  isAlike: (one: Reply | undefined, other: Reply | undefined) => boolean,
  say: (id: string) => string,
): Promise<string | undefined> {
  for (let from = '-'; ;) {
    const [one, other] = await askBoth(pair, command, ...argsFrom(from));
    const [ours, theirs] = [itemsOf(one), itemsOf(other)];
    for (let at = 0; at < Math.max(ours.length, theirs.length); at++) {
      if (!isAlike(ours[at], theirs[at])) {
        return say(textOf(itemsOf(ours[at] ?? theirs[at])[0]));
      }
    }
    if (ours.length < pair.perSlice) return undefined;
    from = after(textOf(itemsOf(ours.at(-1))[0]));
  }
}

/** The next id; servers before 6.2 know no other way to leave one out. */
function after(id: string): string {
  const [ms = '0', sequence = '0'] = id.split('-');
  const next = BigInt(sequence) + 1n;
  return next < 2n ** 64n ? `${ms}-${String(next)}` : `${String(BigInt(ms) + 1n)}-0`;
}
