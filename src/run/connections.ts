/** The connections of one part to the cluster's nodes: told of, measured, and closed together. */
import { connect, type Connection } from '../redis/connection.js';
import { measureRoundTrip } from '../redis/round-trip.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import type { ConnectionLog } from './connection-log.js';
import type { Distance } from './distance.js';

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
      distance.noteNode(node.address, await measureRoundTrip(connection));
      return connection;
    },
    close() {
      for (const connection of open) connection.close();
    },
  };
}
