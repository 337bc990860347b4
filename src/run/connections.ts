/**
 * The connections of one source's import: they are watched, a loss is logged once a server, and those to nodes
 * are measured and closed together.
 */
import { connect, type Connection } from '../redis/connection.js';
import { measureRoundTrip, readDataset } from '../redis/ask.js';
import { ConnectionPool, type ConnectNode } from '../redis/pool.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Logger } from '../types.js';
import type { ServerStates } from '../engine/server-states.js';
import type { Distance } from '../limits/limits.js';

/**
 * Logs when a server is lost and when it is there again: once each, however many connections to it
 * broke at the same time. What people see of that is said by `ServerStates`: a connection that nobody used
 * may be lost without any trouble.
 */
export interface ConnectionLog {
  opened(
    connection: Pick<Connection, 'address' | 'onLost' | 'isOwed' | 'heardCount'>,
    of?: 'source' | 'node',
    /** How the cluster calls the node: it may be reached at another address (--nat). */
    node?: string,
  ): void;
  /** What is lost while this works is our own doing. */
  losing(work: () => void): void;
  /** What is lost from now on is our own doing. */
  close(): void;
}

/** @param source how the source's server is called, whichever of several answers for it now. */
export function connectionLog(
  logger: Logger,
  states: ServerStates,
  source?: string,
): ConnectionLog {
  const lost = new Set<string>();
  let closing = false;
  return {
    opened(connection, of = 'node', node = connection.address) {
      const { address } = connection;
      if (lost.delete(address)) logger.info({ server: address }, `connected to ${address} again`);
      const name = of === 'source' ? (source ?? address) : node;
      if (of === 'source') states.isBack(name);
      states.watch(connection, name);
      connection.onLost((error) => {
        if (closing) return;
        const reason = error.message;
        // A node whose loss matters is noticed by the keys that come back from it.
        if (of === 'source' && connection.isOwed) {
          states.went(name, { why: reason, sentence: `lost ${name}; trying again` });
        }
        if (lost.has(address)) return;
        lost.add(address);
        logger.info({ server: address, reason }, `a connection to ${address} was lost`);
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
  readonly connectNode: ConnectNode;
  close(): void;
}

export function nodeConnections(
  topology: ClusterTopology,
  connections: ConnectionLog,
  distance: Distance,
  timeoutMs: number,
): NodeConnections {
  const pool = new ConnectionPool();
  return {
    async connectNode(node) {
      const connection = await pool.add(connect(topology.endpointOf(node), { timeoutMs }));
      connections.opened(connection, 'node', node.address);
      connection.dataset = await readDataset(connection);
      distance.noteNode(node.address, await measureRoundTrip(connection));
      return connection;
    },
    close() {
      pool.close();
    },
  };
}
