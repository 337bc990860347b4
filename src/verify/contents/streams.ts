/**
 * Streams: their entries in order, their position, and each group with its consumers and what is
 * pending to them. When an entry was last delivered is no part of it: it goes by while we look.
 */
import { type Reply, textOf } from '../../redis/reply.js';
import {
  alike,
  askBoth,
  type Comparison,
  fieldsOf,
  itemsOf,
  type Pair,
  quoteName,
} from './asker.js';

export const streams: Comparison = async (pair) =>
  (await entriesApart(pair)) ?? (await positionsApart(pair)) ?? (await groupsApart(pair));

async function entriesApart(pair: Pair): Promise<string | undefined> {
  return rowsApart(
    pair,
    (from) => ['XRANGE', pair.key, from, '+', 'COUNT', pair.perSlice],
    alike,
    (id) => `entry ${id} differs`,
  );
}

/** What servers of both versions tell of where the stream stands. */
const positionFields = ['last-generated-id', 'entries-added', 'max-deleted-entry-id'];

async function positionsApart(pair: Pair): Promise<string | undefined> {
  const [ours, theirs] = (await askBoth(pair, 'XINFO', 'STREAM', pair.key)).map(fieldsOf);
  const name = positionFields.find((field) => apartIn(field, ours, theirs));
  return name === undefined ? undefined : `its ${name} differs`;
}

type Fields = ReadonlyMap<string, Reply> | undefined;

/** Only what both tell can differ. */
function apartIn(field: string, ours: Fields, theirs: Fields): boolean {
  const [one, other] = [ours?.get(field), theirs?.get(field)];
  if (one === undefined || other === undefined || one === null || other === null) return false;
  return !alike(one, other);
}

async function groupsApart(pair: Pair): Promise<string | undefined> {
  const replies = await askBoth(pair, 'XINFO', 'GROUPS', pair.key);
  const [ours, theirs] = replies.map((reply) => itemsOf(reply).map(fieldsOf)) as [
    ReadonlyMap<string, Reply>[],
    ReadonlyMap<string, Reply>[],
  ];
  const missing = absent(ours, theirs);
  if (missing !== undefined) return `group ${quoteName(missing)} is not ${pair.places.there}`;
  const extra = absent(theirs, ours);
  if (extra !== undefined) return `group ${quoteName(extra)} is not ${pair.places.here}`;
  for (const group of ours) {
    const name = group.get('name') as Buffer;
    const other = theirs.find((one) => alike(one.get('name'), name));
    const field = ['last-delivered-id', 'entries-read', 'pending'].find((one) =>
      apartIn(one, group, other),
    );
    if (field !== undefined) return `${field} of group ${quoteName(name)} differs`;
    const how = (await consumersApart(pair, name)) ?? (await pendingApart(pair, name));
    if (how !== undefined) return how;
  }
  return undefined;
}

async function consumersApart(pair: Pair, group: Buffer): Promise<string | undefined> {
  const replies = await askBoth(pair, 'XINFO', 'CONSUMERS', pair.key, group);
  const [ours, theirs] = replies.map((reply) => itemsOf(reply).map(fieldsOf)) as [
    ReadonlyMap<string, Reply>[],
    ReadonlyMap<string, Reply>[],
  ];
  const name = absent(ours, theirs) ?? absent(theirs, ours);
  if (name === undefined) return undefined;
  return `consumer ${quoteName(name)} of group ${quoteName(group)} is only on one side`;
}

function absent(
  some: readonly ReadonlyMap<string, Reply>[],
  others: readonly ReadonlyMap<string, Reply>[],
): Reply | undefined {
  return some
    .find((one) => !others.some((other) => alike(one.get('name'), other.get('name'))))
    ?.get('name');
}

function pendingApart(pair: Pair, group: Buffer): Promise<string | undefined> {
  return rowsApart(
    pair,
    (from) => ['XPENDING', pair.key, group, from, '+', pair.perSlice],
    // Each is an id, a consumer, how long it idles and how often it was delivered.
    (one, other) => [0, 1, 3].every((at) => alike(itemsOf(one)[at], itemsOf(other)[at])),
    (id) => `pending entry ${id} of group ${quoteName(group)} differs`,
  );
}

/** Compares rows that begin with an id and come in its order, slice by slice. */
async function rowsApart(
  pair: Pair,
  words: (from: string) => (string | number | Buffer)[],
  isAlike: (one: Reply | undefined, other: Reply | undefined) => boolean,
  say: (id: string) => string,
): Promise<string | undefined> {
  for (let from = '-'; ;) {
    const [one, other] = await askBoth(pair, ...words(from));
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
