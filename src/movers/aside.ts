/**
 * What has to be asked of few keys, over connections of its own: on the others values pass through,
 * and nothing may get between their pieces.
 */
import type { Connection } from '../redis/connection.js';
import { command } from '../redis/frames.js';
import { keyAt, namesOf } from '../redis/keys.js';
import { type Reply, ReplyReader, textOf } from '../redis/reply.js';
import type { Keys, Node } from '../types.js';
import { type Compared, compareKeys } from './compare.js';

export interface Aside {
  /** Sorts keys that both sides have. */
  compare(node: Node, keys: Keys): Promise<Compared>;
  /** How many of these keys the node has. */
  countPresent(node: Node, keys: Keys): Promise<number>;
  /** Deletes stale copies that this run left at the node. */
  discard(node: Node, keys: Keys): Promise<void>;
  /** What the node has received since the last call, by its own count; 0 if it doesn't tell. */
  receivedBytes(node: Node): Promise<number>;
}

export function createAside(
  connectSource: () => Promise<Connection>,
  connectNode: (node: Node) => Promise<Connection>,
): Aside {
  const source = reopening(connectSource);
  const nodes = new Map<string, { open: () => Promise<Connection>; receivedBytes: number }>();

  function known(node: Node): { open: () => Promise<Connection>; receivedBytes: number } {
    let entry = nodes.get(node.address);
    if (!entry) {
      entry = { open: reopening(() => connectNode(node)), receivedBytes: NaN };
      nodes.set(node.address, entry);
    }
    return entry;
  }

  /** A command for each key, because their slots differ. */
  async function each(node: Node, word: string, keys: Keys): Promise<Reply[]> {
    const connection = await known(node).open();
    return Promise.all(
      Array.from({ length: keys.count }, (_, place) => {
        connection.out.append(command(word, keyAt(namesOf(keys), place)));
        return new Promise<Reply>((resolve, reject) => {
          connection.expect(new ReplyReader(resolve, reject));
        });
      }),
    );
  }

  return {
    async compare(node, keys) {
      return compareKeys(await source(), await known(node).open(), keys);
    },
    async countPresent(node, keys) {
      const replies = await each(node, 'EXISTS', keys);
      return replies.filter((reply) => reply === 1).length;
    },
    async discard(node, keys) {
      await each(node, 'DEL', keys);
    },
    async receivedBytes(node) {
      const entry = known(node);
      const connection = await entry.open();
      const info = textOf(await connection.call('INFO', 'stats'));
      const total = Number(/total_net_input_bytes:(\d+)/.exec(info)?.[1] ?? NaN);
      const grown = total - entry.receivedBytes;
      entry.receivedBytes = total;
      return grown > 0 ? grown : 0;
    },
  };
}

/** One connection, opened when first asked for, and again when it was lost. */
function reopening(open: () => Promise<Connection>): () => Promise<Connection> {
  let current: Promise<Connection> | undefined;
  return () => {
    if (current) return current;
    const opening = open().then((connection) => {
      connection.onLost(() => (current = undefined));
      return connection;
    });
    current = opening;
    opening.catch(() => (current = undefined));
    return opening;
  };
}
