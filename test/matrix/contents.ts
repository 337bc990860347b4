/** What servers of different versions hold, put so that it can be compared. */
import type { Redis } from 'ioredis';
import { type Snapshot, snapshotOfAll } from '../support/compare.js';
import type { Server } from '../support/servers.js';

/**
 * Streams by their entries and pending ones, because what else XINFO tells differs between versions;
 * scores as numbers, because versions write them differently.
 */
export async function contentsOf(servers: readonly Server[]): Promise<Snapshot> {
  const contents = new Map(await snapshotOfAll(servers.map(({ client }) => client)));
  for (const [key, { type, deadlineMs }] of contents) {
    const read = readers[type];
    if (!read) continue;
    const told = await Promise.all(servers.map(({ client }) => read(client, key)));
    contents.set(key, { type, value: told.join(''), deadlineMs });
  }
  return contents;
}

const readers: Readonly<Record<string, (client: Redis, key: string) => Promise<string>>> = {
  stream: entriesOf,
  zset: scoresOf,
};

async function entriesOf(client: Redis, key: string): Promise<string> {
  if ((await client.exists(key).catch(() => 0)) === 0) return '';
  const groups = (await client.call('XINFO', 'GROUPS', key)) as unknown[][];
  const pending = groups.map((group) => client.call('XPENDING', key, String(group[1])));
  return JSON.stringify([await client.xrange(key, '-', '+'), ...(await Promise.all(pending))]);
}

async function scoresOf(client: Redis, key: string): Promise<string> {
  const items = await client.zrange(key, '0', '-1', 'WITHSCORES').catch((): string[] => []);
  return items
    .map((item, at) => {
      if (at % 2 === 0) return JSON.stringify(item);
      const score = Number(item.replace('inf', 'Infinity'));
      return Object.is(score, -0) ? '-0' : String(score);
    })
    .join(' ');
}
