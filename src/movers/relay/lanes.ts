/** A line's connections to the nodes: opened when first needed, and again after they were lost. */
import type { Connection } from '../../redis/connection.js';
import type { Node } from '../../types.js';

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
  const lanes = new Map<string, Promise<Connection>>();
  let turn = 0;

  return {
    to(node) {
      const id = `${node.address} ${String(turn++ % perNode)}`;
      const known = lanes.get(id);
      if (known) return known;
      const opening = connectNode(node).then((lane) => {
        lane.onLost(() => lanes.delete(id));
        return lane;
      });
      lanes.set(id, opening);
      opening.catch(() => lanes.delete(id));
      return opening;
    },
    close() {
      for (const lane of lanes.values()) {
        // One that could not be opened has told so already.
        lane.then(
          (open) => {
            open.close();
          },
          () => undefined,
        );
      }
    },
  };
}
