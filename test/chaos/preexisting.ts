/** What a cluster may hold before the import begins: other values under the names of the source's keys. */
import type { Redis } from 'ioredis';
import { fieldsText, type Kind, kindOf, type State } from './state.js';
import { streamText } from './stream.js';

interface Preexisting {
  /** As `inventory` reads it. */
  readonly value: string;
  write(client: Redis, key: string): Promise<unknown>;
}

const token = 'of-the-cluster';

/** No writer ever makes such values. */
const values: Readonly<Record<Kind, Preexisting>> = {
  counter: { value: '-1000000', write: (client, key) => client.set(key, -1_000_000) },
  text: { value: token, write: (client, key) => client.set(key, token) },
  hash: {
    value: fieldsText([[token, token]]),
    write: (client, key) => client.hset(key, token, token),
  },
  list: { value: `${token} `, write: (client, key) => client.rpush(key, token) },
  set: { value: `${token} `, write: (client, key) => client.sadd(key, token) },
  stream: {
    value: streamText({ entries: [['1-1', token]], group: undefined }),
    write: (client, key) => client.xadd(key, '1-1', 'token', token),
  },
};

/** @param clients of all masters: earlier rounds have moved slots between them. */
export async function writePreexisting(
  clients: readonly Redis[],
  keys: Iterable<string>,
): Promise<void> {
  await Promise.all(Array.from(keys, (key) => writeOne(clients, key)));
}

async function writeOne(clients: readonly Redis[], key: string): Promise<void> {
  for (const client of clients) {
    try {
      await values[kindOf(key)].write(client, key);
      return;
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('MOVED'))) throw error;
    }
  }
  throw new Error(`no master owns the slot of ${key}`);
}

/** What the cluster had under this name. */
export function preexistingValue(key: string): string {
  return values[kindOf(key)].value;
}

/** Whether this is what the cluster had before the import. */
export function isPreexisting(key: string, { value }: State): boolean {
  return value === values[kindOf(key)].value;
}
