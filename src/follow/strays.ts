/**
 * Keys that the cluster has and the source has not. Where changes were missed nobody has told of their
 * deletion, so both sides are asked.
 */
import { askNumbers } from '../compare/ask-many.js';
import { listNames } from '../redis/ask.js';
import type { Connection } from '../redis/connection.js';
import { chosen, keysBuilder } from '../redis/keys.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Keys, Node } from '../types.js';

const pageKeys = 1000;

export interface StraysOptions {
  readonly topology: ClusterTopology;
  /** Opens a connection, which is closed here. */
  connectNode(node: Node): Promise<Connection>;
  openSource(): Promise<Connection>;
  /** Whether a value stands under this name only until it is whole. */
  isTemporary(name: Buffer): boolean;
}

/**
 * Goes through all nodes, and once more where slots have moved meanwhile: keys that went along may not have
 * been listed.
 * @throws ConnectionError when a server is lost, RefusedError when a node refuses SCAN.
 */
export async function* strays(options: StraysOptions): AsyncIterable<Keys> {
  const { topology } = options;
  const source = await options.openSource();
  try {
    for (;;) {
      await topology.refresh();
      const before = topology.owners.slice();
      for (const node of topology.masters) {
        const connection = await options.connectNode(node);
        try {
          for await (const names of listNames(connection, pageKeys)) {
            const lasting = names.filter((name) => !options.isTemporary(name));
            yield await absentAt(source, keysOf(lasting));
          }
        } finally {
          connection.close();
        }
      }
      await topology.refresh();
      if (topology.owners.every((owner, slot) => owner === before[slot])) return;
    }
  } finally {
    source.close();
  }
}

function keysOf(names: readonly Buffer[]): Keys {
  const keys = keysBuilder(names.length);
  for (const name of names) keys.addKey(name);
  return keys.take();
}

async function absentAt(source: Connection, keys: Keys): Promise<Keys> {
  const there = await askNumbers(source, 'EXISTS', keys);
  return chosen(
    keys,
    [...Array(keys.count).keys()].filter((index) => there[index] === 0),
  );
}
