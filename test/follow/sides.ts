/** The two places where a writer may write: the source, and once that is told, the cluster. */
import type { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, isRefusal } from '../chaos/connection.js';
import { stateOf } from '../chaos/inventory.js';
import { createRouter, isRedirection, type RoutedWork } from '../chaos/router.js';
import { everyMs } from '../chaos/servers.js';
import type { State, Write } from '../chaos/state.js';
import type { TestCluster } from '../support/cluster.js';
import type { Random } from '../support/random.js';
import type { Server } from '../support/servers.js';
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

/** A place where deeds are done. */
export interface Side {
  readonly name: string;
  carryOut(deed: Deed): Promise<Outcome>;
  /** What the key holds, as far as the server can be asked; undefined: it could not. */
  read(key: string): Promise<{ readonly state: State | undefined } | undefined>;
  /** What is under way ends without an answer. */
  close(): void;
}

export function atServer({ host, port }: Server): Side {
  const connection = new Connection(host, port);
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

/** A source that is a cluster: what counts there is what a replica has, too, for it may take over at any time. */
export function atSourceCluster({ nodes }: TestCluster, random: Random): Side {
  return routedSide('the source', nodes, random, {
    keep: (client) => client.wait(1, 0),
    isKept: isAtReplica,
  });
}

/** Takes deeds on one key. @param nameOf what a key is called there. */
export function inCluster(
  { nodes }: TestCluster,
  random: Random,
  nameOf: (key: string) => string,
): Side {
  const side = routedSide('the cluster', nodes, random);
  return {
    ...side,
    carryOut: (deed) => side.carryOut(renamed(deed, nameOf)),
    read: (key) => side.read(nameOf(key)),
  };
}

function renamed(deed: Deed, nameOf: (key: string) => string): Deed {
  const names = new Map<unknown, string>(deed.keys.map((key) => [key, nameOf(key)]));
  return {
    ...deed,
    keys: [...names.values()],
    commands: deed.commands.map(([command, ...words]) => [
      command,
      ...words.map((word) => names.get(word) ?? word),
    ]),
  };
}

/** Beyond which no failover can undo anything. */
interface Durable {
  /** Resolves when what the client has done can't be undone. Rejects where nobody knows. */
  keep(client: Redis): Promise<unknown>;
  /** Whether what the client has read can't be undone. */
  isKept(client: Redis): Promise<boolean>;
}

/** Takes deeds on keys of one slot. */
function routedSide(
  name: string,
  nodes: TestCluster['nodes'],
  random: Random,
  durable?: Durable,
): Side {
  const router = createRouter(nodes, random);
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
  async function carriedOut(client: Redis, deed: Deed): Promise<Outcome> {
    const outcome = await outcomeOf(client, () => sent(client, deed));
    if (!durable || outcome !== 'done') return outcome;
    return durable.keep(client).then(
      () => 'done',
      () => 'unanswered',
    );
  }
  async function readFor(client: Redis, key: string): ReturnType<Side['read']> {
    const found = await readBy(client, key);
    if (!durable || !found) return found;
    return (await durable.isKept(client).catch(() => false)) ? found : undefined;
  }
  return {
    name,
    carryOut(deed) {
      const [key = ''] = deed.keys;
      return routed<Outcome>(key, (client) => carriedOut(client, deed), 'unreachable');
    },
    read: (key) => routed(key, (client) => readFor(client, key), undefined),
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

/** Waits until a replica has as much as its master has now; WAIT goes by the client's own writes. */
async function isAtReplica(client: Redis): Promise<boolean> {
  const offsetIn = (info: string): number => Number(/^master_repl_offset:(\d+)/m.exec(info)?.[1]);
  let offset: number | undefined;
  for (;;) {
    const info = await client.info('replication');
    if (!info.includes('role:master')) return false;
    offset ??= offsetIn(info);
    // A replica confirms once a second what it has; the run never does.
    const confirmed = [...info.matchAll(/^slave\d+:.*\boffset=(\d+)/gm)].map(([, at]) =>
      Number(at),
    );
    if (Math.max(0, ...confirmed) >= offset) return true;
    await sleep(everyMs);
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
    // Of a transaction only a later, plain write tells why. Keys of a slot that moves are at two nodes.
    if (/^(EXECABORT|LOADING|CLUSTERDOWN|READONLY|MASTERDOWN|TRYAGAIN)/.test(error.message)) {
      await sleep(everyMs);
      return 'unreachable';
    }
    throw error;
  }
}
