/** Reads everything that a server holds, as states of keys. */
import type { Redis } from 'ioredis';
import { fieldsText, type Kind, type State } from './state.js';
import { groupName, streamText } from './stream.js';
import { kindOf } from './writes.js';

const atOnce = 500;

export async function inventory(client: Redis): Promise<Map<string, State>> {
  const states = new Map<string, State>();
  const keys = [...new Set(await client.keys('*'))];
  for (let at = 0; at < keys.length; at += atOnce) {
    await Promise.all(
      keys.slice(at, at + atOnce).map(async (key) => {
        const askedMs = Date.now();
        const [value, ttlMs] = await Promise.all([
          readers[kindOf(key)](client, key),
          client.pttl(key),
        ]);
        // It has expired meanwhile.
        if (ttlMs === -2 || value === undefined) return;
        // On a busy machine the server may have looked long before its answer is read.
        const deadline =
          ttlMs < 0 ? undefined : { fromMs: askedMs + ttlMs, toMs: Date.now() + ttlMs };
        states.set(key, { value, deadline });
      }),
    );
  }
  return states;
}

type Read = (client: Redis, key: string) => Promise<string | undefined>;

const readString: Read = async (client, key) => (await client.get(key)) ?? undefined;

const readers: Readonly<Record<Kind, Read>> = {
  counter: readString,
  text: readString,
  async hash(client, key) {
    const fields = Object.entries(await client.hgetall(key));
    return fields.length === 0 ? undefined : fieldsText(fields);
  },
  async list(client, key) {
    const items = await client.lrange(key, 0, -1);
    return items.length === 0 ? undefined : items.map((item) => `${item} `).join('');
  },
  stream: (client, key) => readStream(client, key).catch(unlessGone),
};

const readStream: Read = async (client, key) => {
  const entries = (await client.xrange(key, '-', '+')).map(([id, fields]): [string, string] => [
    id,
    fields[1] ?? '',
  ]);
  const [group] = (await client.xinfo('GROUPS', key)) as unknown[][];
  if (!group) return streamText({ entries, group: undefined });
  const pending = (await client.xpending(key, groupName, '-', '+', 100_000)) as [string][];
  const lastDelivered = String(group[group.indexOf('last-delivered-id') + 1]);
  // It may have expired between two questions.
  if ((await client.exists(key)) === 0) return undefined;
  return streamText({ entries, group: { lastDelivered, pending: pending.map(([id]) => id) } });
};

/** What is asked of a stream that has expired meanwhile is refused. */
function unlessGone(error: unknown): undefined {
  if (!/no such key|NOGROUP/i.test(String(error))) throw error;
  return undefined;
}
