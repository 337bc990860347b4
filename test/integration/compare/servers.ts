/**
 * The servers that values are compared on: the system's, and those that REDIS_SERVERS names, as for
 * `npm run test:matrix`. Each is compared with another one of its kind, and with the system's.
 */
import { delimiter } from 'node:path';
import type { Redis } from 'ioredis';
import { connect, type Connection } from '../../../src/redis/connection.js';
import { parseEndpoint } from '../../../src/redis/endpoint.js';
import { type Server, startServer } from '../../support/servers.js';
import type { Abilities } from './rows.js';

export interface Kind extends Abilities {
  readonly name: string;
  readonly binary: string | undefined;
}

/** Two servers that are up, and connections to them. */
export interface TwoServers {
  readonly source: Server;
  readonly target: Server;
  readonly ours: Connection;
  readonly theirs: Connection;
  stop(): Promise<void>;
}

export async function findKinds(): Promise<readonly Kind[]> {
  const named = (process.env['REDIS_SERVERS'] ?? '').split(delimiter).filter(Boolean);
  return Promise.all([undefined, ...named].map(kindOf));
}

async function kindOf(binary: string | undefined): Promise<Kind> {
  const server = await startServer(binary === undefined ? {} : { binary });
  try {
    const info = await server.client.info('server');
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1];
    const [major = 0, minor = 0] = (field('redis_version') ?? '').split('.').map(Number);
    const valkey = field('valkey_version');
    return {
      name: valkey === undefined ? `Redis ${field('redis_version') ?? '?'}` : `Valkey ${valkey}`,
      binary,
      fieldDeadlines: await knows(server.client, 'hpexpireat'),
      streamCounts: major >= 7,
      createsConsumers: major > 6 || (major === 6 && minor >= 2),
    };
  } finally {
    await server.stop();
  }
}

async function knows(client: Redis, command: string): Promise<boolean> {
  const [found] = (await client.call('COMMAND', 'INFO', command)) as unknown[];
  return Array.isArray(found) && found.length > 0;
}

export async function startTwo(source: Kind, target: Kind): Promise<TwoServers> {
  const [one, other] = await Promise.all(
    [source, target].map(({ binary, fieldDeadlines }) =>
      startServer({
        ...(binary !== undefined && { binary }),
        // For DEBUG SET-ACTIVE-EXPIRE; older servers refuse to start with this.
        ...(fieldDeadlines && { config: ['enable-debug-command yes'] }),
      }),
    ),
  );
  if (!one || !other) throw new Error('two servers were started');
  const [ours, theirs] = await Promise.all([connectTo(one), connectTo(other)]);
  return {
    source: one,
    target: other,
    ours,
    theirs,
    async stop() {
      ours.close();
      theirs.close();
      await Promise.all([one.stop(), other.stop()]);
    },
  };
}

function connectTo({ address }: Server, user = ''): Promise<Connection> {
  return connect(parseEndpoint(`redis://${user}${address}`, '--from'), { timeoutMs: 20_000 });
}
