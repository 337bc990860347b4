/** The cluster as a single place to ask about one key: redirections are followed, and slots learnt anew. */
import { ConnectionError, TargetError } from '../errors.js';
import { askAt, type Word } from '../redis/ask.js';
import { ErrorReply, type Reply } from '../redis/reply.js';
import { slotOf } from '../redis/slot.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import { createServer, type Patience, type Server } from './read-server.js';

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
