/**
 * The connections of one source's import: what is lost is reported once, and those to nodes are measured
 * and closed together.
 */
import { connect, type Connection } from '../redis/connection.js';
import { measureRoundTrip, readDataset } from '../redis/ask.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Logger, Node } from '../types.js';
import type { Distance } from '../limits/distance.js';

/**
 * Says when a server is lost and when it is there again: once each, however many connections to it
 * broke at the same time.
 */
export interface ConnectionLog {
  opened(connection: Pick<Connection, 'address' | 'onLost'>): void;
  /** What is lost while this works is our own doing. */
  losing(work: () => void): void;
  /** What is lost from now on is our own doing. */
  close(): void;
}

export function connectionLog(logger: Logger): ConnectionLog {
  const lost = new Set<string>();
  let closing = false;
  return {
    opened(connection) {
      const { address } = connection;
      if (lost.delete(address)) logger.info({ server: address }, `connected to ${address} again`);
      connection.onLost((error) => {
        if (closing || lost.has(address)) return;
        lost.add(address);
        logger.warn({ server: address, reason: error.message }, `lost ${address}; trying again`);
      });
    },
    losing(work) {
      closing = true;
      work();
      closing = false;
    },
    close() {
      closing = true;
    },
  };
}

/** The connections to the cluster's nodes. */
export interface NodeConnections {
  /** Opens another one. @throws ConnectionError naming the node. */
  readonly connectNode: (node: Node) => Promise<Connection>;
  close(): void;
}

export function nodeConnections(
  topology: ClusterTopology,
  connections: ConnectionLog,
  distance: Distance,
  timeoutMs: number,
): NodeConnections {
  const open = new Set<Connection>();
  return {
    async connectNode(node) {
      const connection = await connect(topology.endpointOf(node), { timeoutMs });
      open.add(connection);
      connection.onLost(() => open.delete(connection));
      connections.opened(connection);
      connection.dataset = await readDataset(connection);
      distance.noteNode(node.address, await measureRoundTrip(connection));
      return connection;
    },
    close() {
      for (const connection of open) connection.close();
    },
  };
}
