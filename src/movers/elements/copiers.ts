/**
 * How a value of each type is copied element by element. Of every type but streams, what is read is sent as it came.
 * Hashes may have fields with deadlines (since 7.4).
 */
import { chosen, keyAt, keysBuilder } from '../../redis/frames.js';
import type { Keys } from '../../types.js';
import { type Copier, type Passage, sendElements } from './writer.js';
import { askFrames, askReply, pages, sliceBytes } from './reading.js';
import type { Word } from '../../redis/ask.js';
import { type Reply, textOf } from '../../redis/reply.js';

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

/*
 * Streams: groups, consumers and what is pending come first, then entries under their ids, then the
 * position.
 *
 * A stream's own ids say what was done to it: trimming leaves max-deleted-entry-id alone, XDEL raises
 * it for good, and XSETID can't take it back to 0-0 (xsetidCommand in Redis' t_stream.c). So nothing
 * is ever deleted by XDEL here: what stands in for an entry is trimmed away.
 *
 * An entry may be trimmed or deleted and still be pending, and a node takes a pending entry only
 * while it is in the stream (since 7.0). So groups come while the stream is still empty: each pending
 * entry, whether the source still has it or not, gets another one under its id that stands in for it
 * until it is claimed, and is trimmed away.
 *
 * What no command can set is lost: when consumers were last seen, and, from a source before 7.0,
 * how many entries there ever were.
 */

export const copyStream: Copier = async (passage) => {
  const { source, key, writer, temporary } = passage;
  const info = fieldsOf(await askReply(source, ['XINFO', 'STREAM', key]));
  const groups = await readGroups(passage);
  createEmpty(passage, info.get('entries-added'));
  await passage.sent(0, 0);
  await copyGroups(passage, groups);
  const length = await copyEntries(passage);
  const counts = passage.abilities.takesStreamCounts;
  writer.send(['XSETID', temporary, ...position(info, length, counts)]);
  await passage.sent(0, 0);
  return undefined;
};

/**
 * No command makes an empty stream, but an entry may be trimmed away in the moment in which it is
 * added. How many entries there ever were is set before there are groups: a group that has read more
 * than these is cut down to them by the latest servers.
 */
function createEmpty({ writer, temporary, abilities }: Passage, added: Reply | undefined): void {
  const isKnown = abilities.takesStreamCounts && typeof added === 'number';
  writer.send(['XADD', temporary, 'MAXLEN', 0, '0-1', '', '']);
  writer.send(['XSETID', temporary, '0-0', ...(isKnown ? ['ENTRIESADDED', added] : [])]);
}

/** @returns how many there are. */
async function copyEntries(passage: Passage): Promise<number> {
  const { source, key, writer, temporary, slice } = passage;
  let length = 0;
  for (let start: StreamId = '-', last = false; !last;) {
    const { count } = slice;
    const rows = rowsOf(await askReply(source, ['XRANGE', key, start, '+', 'COUNT', count]));
    let bytes = 0;
    for (const [id, fields] of rows) {
      const words = (fields as Reply[]).map((word) => word as Buffer);
      writer.send(['XADD', temporary, textOf(id), ...words]);
      bytes += words.reduce((sum, word) => sum + word.length, 0);
      start = nextId(textOf(id));
    }
    length += rows.length;
    last = rows.length < count;
    if (rows.length > 0) await passage.sent(rows.length, bytes);
  }
  return length;
}

/**
 * The last id, how many entries were ever added, and the last that was deleted. A source before 7.0
 * does not know the latter two: then the entries that are there count, as they do for RESTORE.
 */
function position(info: ReadonlyMap<string, Reply>, length: number, counts: boolean): Word[] {
  const last = textOf(info.get('last-generated-id'));
  if (!counts) return [last];
  const added = info.get('entries-added');
  if (typeof added !== 'number') return [last, 'ENTRIESADDED', length];
  const deleted = textOf(info.get('max-deleted-entry-id'));
  return [last, 'ENTRIESADDED', added, 'MAXDELETEDID', deleted];
}

interface Group {
  readonly name: Buffer;
  readonly consumers: readonly Buffer[];
  readonly pending: number;
  readonly lastDelivered: StreamId;
  /** How many entries it has read; undefined: the source does not know, or is older than 7.0. */
  readonly entriesRead: number | undefined;
}

interface Pending {
  readonly id: StreamId;
  readonly consumer: Buffer;
  /** By this machine's clock. */
  readonly deliveredMs: number;
  readonly deliveries: number;
}

/** How many pending entries are asked for at one time. */
const pendingPage = 500;

async function readGroups({ source, key }: Passage): Promise<readonly Group[]> {
  const rows = rowsOf(await askReply(source, ['XINFO', 'GROUPS', key])).map(fieldsOf);
  return Promise.all(
    rows.map(async (row) => {
      const name = row.get('name') as Buffer;
      const consumers = rowsOf(await askReply(source, ['XINFO', 'CONSUMERS', key, name]));
      const entriesRead = row.get('entries-read');
      return {
        name,
        consumers: consumers.map((consumer) => fieldsOf(consumer).get('name') as Buffer),
        pending: Number(row.get('pending')),
        lastDelivered: textOf(row.get('last-delivered-id')),
        entriesRead: typeof entriesRead === 'number' ? entriesRead : undefined,
      };
    }),
  );
}

/** To be called while the stream has no entries, and leaves it so. */
async function copyGroups(passage: Passage, groups: readonly Group[]): Promise<void> {
  for (const group of groups) {
    createGroup(passage, group);
    await claimPending(passage, group);
  }
}

function createGroup({ writer, temporary, abilities }: Passage, group: Group): void {
  const { name, consumers, lastDelivered, entriesRead } = group;
  const read: Word[] =
    abilities.takesStreamCounts && entriesRead !== undefined ? ['ENTRIESREAD', entriesRead] : [];
  writer.send(['XGROUP', 'CREATE', temporary, name, lastDelivered, ...read]);
  for (const consumer of consumers) {
    if (abilities.createsConsumers) {
      writer.send(['XGROUP', 'CREATECONSUMER', temporary, name, consumer]);
    } else {
      // Asking for what is pending, of which there is nothing yet, makes one too.
      const from: Word[] = ['COUNT', 1, 'STREAMS', temporary, '0'];
      writer.send(['XREADGROUP', 'GROUP', name, consumer, ...from]);
    }
  }
}

async function claimPending(passage: Passage, group: Group): Promise<void> {
  const { writer, temporary, abilities } = passage;
  for await (const page of pendingPages(passage, group)) {
    if (page.length === 0) continue;
    for (const { id } of page) writer.send(['XADD', temporary, id, '', '']);
    for (const { id, consumer, deliveredMs, deliveries } of page) {
      const since: Word[] = ['TIME', deliveredMs + abilities.nodeSkewMs];
      const words: Word[] = [...since, 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID'];
      writer.send(['XCLAIM', temporary, group.name, consumer, 0, id, ...words]);
    }
    writer.send(['XTRIM', temporary, 'MAXLEN', 0]);
    // Or those of the next page, and the stream's own, would come behind the last id.
    writer.send(['XSETID', temporary, '0-0']);
    await passage.sent(0, 0);
  }
}

async function* pendingPages(
  { source, key }: Passage,
  { name, pending }: Group,
): AsyncGenerator<readonly Pending[]> {
  if (pending === 0) return;
  for (let start: StreamId = '-', last = false; !last;) {
    const rows = rowsOf(await askReply(source, ['XPENDING', key, name, start, '+', pendingPage]));
    const nowMs = Date.now();
    const page = rows.map(([id, consumer, idleMs, deliveries]: Reply[]) => ({
      id: textOf(id),
      consumer: consumer as Buffer,
      deliveredMs: nowMs - Number(idleMs),
      deliveries: Number(deliveries),
    }));
    yield page;
    last = rows.length < pendingPage;
    start = nextId(page.at(-1)?.id ?? '0-0');
  }
}

/** Ids of stream entries (`1700000000000-3`): two 64-bit numbers, so counted as BigInts. */
type StreamId = string;

/** The one behind it. Ranges that leave out their first entry exist since 6.2 only. */
export function nextId(id: StreamId): StreamId {
  const [ms, seq] = parts(id);
  return seq < 2n ** 64n - 1n ? `${String(ms)}-${String(seq + 1n)}` : `${String(ms + 1n)}-0`;
}

function parts(id: StreamId): [ms: bigint, seq: bigint] {
  const [ms = '', seq = '0'] = id.split('-');
  return [BigInt(ms), BigInt(seq)];
}

/** Names and values that stand in turn in a list. */
function fieldsOf(reply: Reply): ReadonlyMap<string, Reply> {
  const list = Array.isArray(reply) ? reply : [];
  const fields = new Map<string, Reply>();
  for (let at = 0; at + 1 < list.length; at += 2) {
    fields.set(textOf(list[at]), list[at + 1] ?? null);
  }
  return fields;
}

function rowsOf(reply: Reply | undefined): Reply[][] {
  return Array.isArray(reply) ? reply.filter((row) => Array.isArray(row)) : [];
}
