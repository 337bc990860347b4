/** Connections to the nodes over which keys are stored. */
import type { Connection } from '../../redis/connection.js';
import type { Node } from '../../types.js';
import { type Reopening, reopeningConnection } from '../reopening.js';

export interface Lanes {
  /** A connection to the node, in turn where there are several. */
  to(node: Node): Promise<Connection>;
  close(): void;
}

/** @param perNode more than one where a connection may block (WAIT). */
export function createLanes(
  connectNode: (node: Node) => Promise<Connection>,
  perNode: number,
): Lanes {
  const lanes = new Map<string, Reopening<Connection>>();
  let turn = 0;

  return {
    to(node) {
      const id = `${node.address} ${String(turn++ % perNode)}`;
      let lane = lanes.get(id);
      if (!lane) {
        lane = reopeningConnection(() => connectNode(node));
        lanes.set(id, lane);
      }
      return lane.get();
    },
    close() {
      for (const lane of lanes.values()) lane.close();
    },
  };
}
