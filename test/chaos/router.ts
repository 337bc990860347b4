/**
 * Finds the node that has a key as clients of a cluster do: it asks any, and heeds the redirections. Nothing is
 * sent again but to where a node has sent it (connection.ts).
 */
import type { ClusterNode } from '../support/cluster.js';
import type { Random } from '../support/random.js';
import { slotOf } from '../support/keys.js';
import { Connection, isRefusal } from './connection.js';

export interface RoutedWork<T> {
  /** Is to reject with redirections. Called once more, at another node, when the first one says ASK. */
  at(connection: Connection, how: { readonly isAsking: boolean }): Promise<T>;
  /** Whether the node has the key's slot, going by what it answered. */
  isAnswer(result: T): boolean;
}

export interface Router {
  /** @returns undefined: the work was sent elsewhere, and the next time that node is asked first. */
  run<T>(key: string, work: RoutedWork<T>): Promise<T | undefined>;
  close(): void;
}

export function createRouter(nodes: readonly ClusterNode[], random: Random): Router {
  const connections = new Map(
    nodes.map((node) => [node.address, new Connection(node.host, node.port)]),
  );
  const owners = new Map<number, string>();

  return {
    async run(key, work) {
      const slot = slotOf(key);
      const owner = owners.get(slot) ?? random.pick([...connections.keys()]);
      // Whoever answers knows better.
      owners.delete(slot);
      for (let address = owner, isAsking = false; ; isAsking = true) {
        const connection = connections.get(address);
        if (!connection) return undefined;
        try {
          const result = await work.at(connection, { isAsking });
          if (work.isAnswer(result)) owners.set(slot, owner);
          return result;
        } catch (error) {
          if (!isRedirection(error)) throw error;
          const [how, , to = ''] = error.message.split(' ');
          address = to;
          if (how !== 'MOVED') continue;
          owners.set(slot, to);
          return undefined;
        }
      }
    },
    close() {
      for (const connection of connections.values()) connection.close();
    },
  };
}

export function isRedirection(error: unknown): error is Error {
  return isRefusal(error) && /^(MOVED|ASK) /.test(error.message);
}
