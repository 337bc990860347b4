/**
 * Keys that the cluster has and their source has not. Where changes were missed nobody has told of their
 * deletion, so both sides are asked.
 */
import { askNumbers } from '../compare/ask-many.js';
import { listNames } from '../redis/ask.js';
import type { Connection } from '../redis/connection.js';
import { chosen, keysBuilder } from '../redis/frames.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { Keys, Node } from '../types.js';

const pageKeys = 1000;

export interface StraysOptions {
  readonly topology: ClusterTopology;
  /** Opens a connection, which is closed here. */
  connectNode(node: Node): Promise<Connection>;
  /** Opens a connection to the source that may have the keys, which is closed here. */
  openSource(): Promise<Connection>;
  /** The key that is called so in the cluster; undefined: it is none that a source may have. */
  keyOf(name: Buffer): Buffer | undefined;
}

/**
 * Goes through all nodes, and once more where slots have moved meanwhile: keys that went along may not have
 * been listed.
 * @returns pages of keys, as the sources call them.
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
            yield await absentAt(
              source,
              keysOf(names.flatMap((name) => options.keyOf(name) ?? [])),
            );
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

/** Those that it has not. @throws ConnectionError when it is lost. */
export async function absentAt(source: Connection, keys: Keys): Promise<Keys> {
  const there = await askNumbers(source, 'EXISTS', keys);
  return chosen(
    keys,
    [...Array(keys.count).keys()].filter((index) => there[index] === 0),
  );
}
