/** The two places where a writer may write: the source, and once that is told, the cluster. */
import type { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, isRefusal } from '../chaos/connection.js';
import { stateOf } from '../chaos/inventory.js';
import { createRouter, isRedirection, type RoutedWork } from '../chaos/router.js';
import { everyMs, type Servers } from '../chaos/servers.js';
import type { State, Write } from '../chaos/state.js';
import type { Random } from '../support/random.js';
import type { Deed } from './deeds.js';

export type Outcome =
  /** The server has answered. */
  | 'done'
  /** The server does not take writes any more (NOREPLICAS): nothing was done. */
  | 'refused'
  /** Nothing was done, and it may be tried again. */
  | 'unreachable'
  /** It was carried out, or it was not. */
  | 'unanswered';

export interface Side {
  readonly name: string;
  carryOut(deed: Deed): Promise<Outcome>;
  /** What the key holds, as far as the server can be asked; undefined: it could not. */
  read(key: string): Promise<{ readonly state: State | undefined } | undefined>;
  /** What is under way ends without an answer. */
  close(): void;
}

export function atSource({ source }: Servers): Side {
  const connection = new Connection(source.host, source.port);
  return {
    name: 'the source',
    async carryOut(deed) {
      const client = await opened(connection);
      return client ? outcomeOf(client, () => sent(client, deed)) : 'unreachable';
    },
    async read(key) {
      const client = await opened(connection);
      return client && readBy(client, key);
    },
    close() {
      connection.close();
    },
  };
}

/** Takes deeds on one key. */
export function inCluster({ cluster }: Servers, random: Random): Side {
  const router = createRouter(cluster.nodes, random);
  async function routed<T>(key: string, work: (client: Redis) => Promise<T>, unreachable: T) {
    const routedWork: RoutedWork<T> = {
      async at(connection, { isAsking }) {
        const client = await opened(connection);
        if (!client) return unreachable;
        if (isAsking) client.call('ASKING').catch(() => undefined);
        return work(client);
      },
      isAnswer: (result) => result !== unreachable,
    };
    return (await router.run(key, routedWork)) ?? unreachable;
  }
  return {
    name: 'the cluster',
    carryOut(deed) {
      const [key = ''] = deed.keys;
      return routed<Outcome>(
        key,
        (client) => outcomeOf(client, () => sent(client, deed)),
        'unreachable',
      );
    },
    read: (key) => routed(key, (client) => readBy(client, key), undefined),
    close() {
      router.close();
    },
  };
}

async function opened(connection: Connection): Promise<Redis | undefined> {
  try {
    return await connection.open();
  } catch {
    await sleep(everyMs);
    return undefined;
  }
}

async function readBy(client: Redis, key: string): ReturnType<Side['read']> {
  try {
    return { state: await stateOf(client, key) };
  } catch (error) {
    if (isRedirection(error)) throw error;
    await sleep(everyMs);
    return undefined;
  }
}

/** Words that no key is named by. An error that a command may meet with does not end the script. */
const script = `for _, words in ipairs(cjson.decode(ARGV[1])) do
  local reply = redis.pcall(unpack(words))
  if type(reply) == 'table' and reply.err then
    if not (reply.err:find('BUSYGROUP') or reply.err:find('NOGROUP') or reply.err:find('no such key')) then
      return reply
    end
  end
end
return 1`;

async function sent(client: Redis, { way, commands }: Deed): Promise<void> {
  const [first] = commands;
  if (way === 'plain' && first) await client.call(...callable(first));
  if (way === 'script') await client.call('EVAL', script, 0, JSON.stringify(commands));
  if (way !== 'transaction') return;
  const transaction = client.multi();
  for (const words of commands) transaction.call(...callable(words));
  for (const [error] of (await transaction.exec()) ?? [])
    if (error && !isExpected(error)) throw error;
}

const callable = (words: Write['words']): [string, ...(string | number)[]] => [...words];

/** The command has found nothing to do. */
const isExpected = ({ message }: Error): boolean => /BUSYGROUP|NOGROUP|no such key/.test(message);

async function outcomeOf(client: Redis, work: () => Promise<void>): Promise<Outcome> {
  try {
    await work();
    return 'done';
  } catch (error) {
    if (isRedirection(error)) throw error;
    if (!isRefusal(error)) {
      if (client.status === 'ready') throw error;
      return 'unanswered';
    }
    if (isExpected(error)) return 'done';
    if (/NOREPLICAS/.test(error.message)) return 'refused';
    // Of a transaction only a later, plain write tells why.
    if (/^(EXECABORT|LOADING|CLUSTERDOWN|READONLY|MASTERDOWN)/.test(error.message)) {
      await sleep(everyMs);
      return 'unreachable';
    }
    throw error;
  }
}
