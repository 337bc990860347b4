/** A stream's groups, their consumers, and what was delivered and not acknowledged. */
import { type Reply, textOf } from '../../redis/reply.js';
import type { Passage } from './passage.js';
import { askReply } from './questions.js';
import { fieldsOf, rowsOf } from './replies.js';
import { compareIds, nextId, type StreamId } from './stream-ids.js';
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

/** Pending entries that the stream itself does not hold any more, in order, each once. */
export async function vanishedEntries(
  passage: Passage,
  groups: readonly Group[],
): Promise<readonly StreamId[]> {
  const { source, key } = passage;
  const vanished = new Set<StreamId>();
  for (const group of groups) {
    for await (const page of pendingPages(passage, group)) {
      const found = await Promise.all(
        page.map(({ id }) => askReply(source, ['XRANGE', key, id, id])),
      );
      page.forEach(({ id }, at) => {
        if (rowsOf(found[at]).length === 0) vanished.add(id);
      });
    }
  }
  return [...vanished].sort(compareIds);
}

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
    for (const { id, consumer, deliveredMs, deliveries } of page) {
      const since: Word[] = ['TIME', deliveredMs + abilities.nodeSkewMs];
      const words: Word[] = [...since, 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID'];
      writer.send(['XCLAIM', temporary, group.name, consumer, 0, id, ...words]);
    }
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
