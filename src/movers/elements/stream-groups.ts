/**
 * A stream's groups, their consumers, and what was delivered and not acknowledged.
 *
 * An entry may be trimmed or deleted and still be pending, and a node takes a pending entry only
 * while it is in the stream (since 7.0). So this comes while the stream is still empty: each pending
 * entry, whether the source still has it or not, gets another one under its id that stands in for it
 * until it is claimed, and is trimmed away.
 */
import { type Reply, textOf } from '../../redis/reply.js';
import type { Passage } from './passage.js';
import { askReply } from './questions.js';
import { fieldsOf, rowsOf } from './replies.js';
import { nextId, type StreamId } from './stream-ids.js';
import type { Word } from './writer.js';

export interface Group {
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

export async function readGroups({ source, key }: Passage): Promise<readonly Group[]> {
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
export async function copyGroups(passage: Passage, groups: readonly Group[]): Promise<void> {
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
