/**
 * Servers that are only read from. A connection is opened when it is needed, and again when it is
 * lost; a cluster is one place to ask about a key: redirections are followed, and slots learnt anew.
 */
import pRetry from 'p-retry';
import { ConnectionError, SourceError, TargetError } from '../errors.js';
import { askAt, type Word } from '../redis/ask.js';
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { ConnectionPool, reopening } from '../redis/pool.js';
import { ErrorReply, type Reply } from '../redis/reply.js';
import type { Side } from '../redis/sentences.js';
import { locate } from '../redis/control.js';
import { slotOf } from '../redis/frames.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';

export interface Server {
  /** `host:port`, or as the report names it. */
  readonly name: string;
  connection(): Promise<Connection>;
  close(): void;
}

export interface Patience {
  readonly timeoutMs: number;
  /** How long a server that fails is tried again. */
  readonly retryForMs: number;
}

export function createServer(endpoint: Endpoint, name: string, { timeoutMs }: Patience): Server {
  const pool = new ConnectionPool();
  const open = async () => connect(await locate(endpoint, timeoutMs), { timeoutMs });
  return {
    name,
    connection: reopening(() => pool.add(open())),
    close() {
      pool.close();
    },
  };
}

/**
 * Does something that may be done again: as often as connections are lost meanwhile, for a while.
 * @throws SourceError or TargetError when that was in vain.
 */
export async function persist<T>(
  side: Side,
  { retryForMs }: Patience,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await pRetry(work, {
      retries: Infinity,
      minTimeout: 50,
      maxTimeout: 2000,
      maxRetryTime: retryForMs,
      shouldRetry: ({ error }) => !signal.aborted && error instanceof ConnectionError,
    });
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    const Trouble = side === 'from' ? SourceError : TargetError;
    const words = `${error.message}; it did not come back within ${String(retryForMs / 1000)} s.`;
    throw new Trouble(words, { cause: error });
  }
}

const redirectionsAtMost = 16;
/** What passes by itself after a while. */
const passing = /^(TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN|BUSY) /;

export interface Cluster {
  readonly topology: ClusterTopology;
  /** Index in `topology.nodes` of the owner of a key's slot. */
  readonly ownerOf: (bytes: Buffer, start: number, end: number) => number;
  serverOf(node: Node): Server;
  /** Asks the node that has this key; error replies that are no redirections are values. */
  ask(key: Buffer, words: readonly Word[]): Promise<Reply>;
  close(): void;
}

export function openCluster(topology: ClusterTopology, patience: Patience): Cluster {
  const servers = new Map<string, Server>();

  function serverOf(node: Node): Server {
    let server = servers.get(node.address);
    if (!server) {
      server = createServer(topology.endpointOf(node), node.address, patience);
      servers.set(node.address, server);
    }
    return server;
  }

  function ownerOf(bytes: Buffer, start: number, end: number): number {
    return topology.owners[slotOf(bytes, start, end)] as number;
  }

  /** @param place `host:port`, as redirections write it. */
  function serverAt(place: string): Server {
    const [, host = '', port = '0'] = /^\[?(.*?)\]?:(\d+)$/.exec(place) ?? [];
    const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    return serverOf({ host, port: Number(port), address });
  }

  return {
    topology,
    ownerOf,
    serverOf,
    async ask(key, words) {
      let asked: Server | undefined;
      for (let tries = 0; tries < redirectionsAtMost; tries++) {
        const owner = topology.nodes[ownerOf(key, 0, key.length)] as Node;
        const connection = await (asked ?? serverOf(owner)).connection();
        if (asked) connection.call('ASKING').catch(() => undefined);
        const reply = await askAt(connection, words);
        asked = undefined;
        if (!(reply instanceof ErrorReply)) return reply;
        if (reply.code === 'MOVED') await topology.refresh();
        else if (reply.code === 'ASK') asked = serverAt(reply.text.split(' ')[2] ?? '');
        else if (passing.test(reply.text))
          throw new ConnectionError(said(connection.address, reply));
        else return reply;
      }
      throw new TargetError('The cluster sends a key round in circles: check its slots.');
    },
    close() {
      for (const server of servers.values()) server.close();
    },
  };
}

function said(address: string, reply: ErrorReply): string {
  return `${address} answered: ${reply.text}`;
}
