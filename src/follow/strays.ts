/**
 * Keys that the cluster has and the source has not. Where changes were missed nobody has told of their
 * deletion, so both sides are asked.
 */
import { askNumbers } from '../compare/ask-many.js';
import type { Connection } from '../redis/connection.js';
import { frame } from '../redis/frames.js';
import { chosen, keysBuilder } from '../redis/keys.js';
import { type Reply, textOf } from '../redis/reply.js';
import { TargetError } from '../errors.js';
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
 * @throws ConnectionError when a server is lost, TargetError when a node refuses SCAN.
 */
export async function* strays(options: StraysOptions): AsyncIterable<Keys> {
  const { topology } = options;
  const source = await options.openSource();
  try {
    for (;;) {
      await topology.refresh();
      const before = Buffer.from(topology.owners);
      for (const node of topology.masters) {
        const connection = await options.connectNode(node);
        try {
          for await (const page of listed(connection, options)) yield await absentAt(source, page);
        } finally {
          connection.close();
        }
      }
      await topology.refresh();
      if (before.equals(Buffer.from(topology.owners))) return;
    }
  } finally {
    source.close();
  }
}

async function* listed(
  node: Connection,
  { isTemporary }: Pick<StraysOptions, 'isTemporary'>,
): AsyncIterable<Keys> {
  let cursor = '0';
  do {
    const reply = await node.call('SCAN', cursor, 'COUNT', pageKeys);
    const [next, names] = Array.isArray(reply) ? reply : [];
    if (!Array.isArray(names)) {
      throw new TargetError(`${node.address} did not list its keys: ${wordsOf(reply)}`);
    }
    cursor = textOf(next);
    const page = keysBuilder(names.length);
    for (const name of names) {
      if (!Buffer.isBuffer(name) || isTemporary(name)) continue;
      const bytes = frame(name);
      page.add(bytes, 0, bytes.length);
    }
    yield page.take();
  } while (cursor !== '0');
}

async function absentAt(source: Connection, keys: Keys): Promise<Keys> {
  const there = await askNumbers(source, 'EXISTS', keys);
  return chosen(
    keys,
    [...Array(keys.count).keys()].filter((index) => there[index] === 0),
  );
}

function wordsOf(reply: Reply): string {
  return typeof reply === 'object' && reply !== null && 'text' in reply ? reply.text : 'no answer';
}
