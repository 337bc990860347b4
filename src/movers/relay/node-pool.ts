/** Connections to the nodes over which keys are stored. */
import type { Connection } from '../../redis/connection.js';
import type { Node } from '../../types.js';
import { type Reopening, reopeningConnection } from '../reopening.js';

export class NodePool {
  readonly #connections = new Map<string, Reopening<Connection>>();
  #turn = 0;

  /** @param perNode more than one where a connection may block (WAIT). */
  constructor(
    readonly connectNode: (node: Node) => Promise<Connection>,
    readonly perNode: number,
  ) {}

  /** A connection to the node, in turn where there are several. */
  to(node: Node): Promise<Connection> {
    const id = `${node.address} ${String(this.#turn++ % this.perNode)}`;
    let connection = this.#connections.get(id);
    if (!connection) {
      connection = reopeningConnection(() => this.connectNode(node));
      this.#connections.set(id, connection);
    }
    return connection.get();
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }
}
