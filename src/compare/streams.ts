/**
 * Streams: their entries in order, their position, and each group with its consumers and what is
 * pending to them. When an entry was last delivered, and a consumer last seen, is no part of it: no
 * command sets these to the millisecond, and they go by while we look.
 *
 * Everything is asked for in parts, so that servers without XINFO STREAM FULL (before 6.0) tell as much
 * as others, and streams of any length do.
 */
import type { Word } from '../redis/ask.js';
import { type Reply, textOf } from '../redis/reply.js';
import { alike, askBoth, type ContentsComparison, itemsOf, type Pair, quoteName } from './pair.js';

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
