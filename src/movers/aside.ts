/**
 * What has to be asked of few keys, over connections of its own: on the others values pass through,
 * and nothing may get between their pieces.
 */
import type { Connection } from '../redis/connection.js';
import { keyAt, namesOf } from '../redis/keys.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import type { Batch, Keys, Node } from '../types.js';
import { type Compared, compareKeys } from './compare.js';
import { isPassing, type Refused } from './refused.js';

/** Where to ask, and whether behind ASKING. */
export type Place = Pick<Batch, 'node' | 'asking'>;

export interface Present {
  /** Which of the keys the node has. */
  readonly places: readonly number[];
  /** Nothing is known of these, and nothing was done to them. */
  readonly refused: readonly Refused[];
}

export interface Aside {
  /** Sorts keys that both sides have. */
  compare(at: Place, keys: Keys): Promise<Compared>;
  /** Which of these keys the node has. */
  present(at: Place, keys: Keys): Promise<Present>;
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
  async function present({ node, asking }: Place, keys: Keys): Promise<Present> {
    const connection = await known(node).open();
    const replies = await Promise.all(
      Array.from({ length: keys.count }, (_, place) => {
        if (asking) connection.call('ASKING').catch(() => undefined);
        return connection.call('EXISTS', keyAt(namesOf(keys), place));
      }),
    );
    return {
      places: replies.flatMap((reply, place) => (reply === 1 ? [place] : [])),
      refused: replies.flatMap((reply, place) =>
        reply instanceof ErrorReply && isPassing(reply.text) ? [{ place, text: reply.text }] : [],
      ),
    };
  }

  return {
    async compare({ node, asking }, keys) {
      const target = { connection: await known(node).open(), asking };
      return compareKeys({ connection: await source(), asking: false }, target, keys);
    },
    present,
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
