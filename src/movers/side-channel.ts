/**
 * What has to be asked of few keys, over connections of its own: on the others values pass through,
 * and nothing may get between their pieces.
 */
import pLimit from 'p-limit';
import { createFirstPass, type FirstPass } from '../compare/many.js';
import { compareValue, type Comparison, sideOf } from '../compare/value.js';
import { RefusedError } from '../errors.js';
import type { Connection } from '../redis/connection.js';
import { chosen, keyAt, namesOf } from '../redis/frames.js';
import { type ConnectNode, lanes, reopening } from '../redis/pool.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import type { Batch, Keys, Node } from '../types.js';
import { isPassing, type Refused } from './refused-keys.js';

/** Where to ask, and whether behind ASKING. */
export type AskedNode = Pick<Batch, 'node' | 'asking'>;

interface Present {
  /** Which of the keys the node has. */
  readonly indexes: readonly number[];
  /** Nothing is known of these. */
  readonly refused: readonly Refused[];
}

/** What became of keys that both sides had. */
interface Compared {
  readonly equal: Keys;
  readonly different: Keys;
  /** Not at the source any more. */
  readonly absent: Keys;
  /** At the source, and by now not at the node any more. */
  readonly missing: Keys;
  /** Of which nothing was found out. */
  readonly refused: readonly Refused[];
}

export interface SideChannel {
  /** Sorts keys that both sides have. */
  compare(at: AskedNode, keys: Keys): Promise<Compared>;
  /** Which of these keys the node has. */
  present(at: AskedNode, keys: Keys): Promise<Present>;
  /** Deletes them at the node. @returns which of them it had. */
  remove(at: AskedNode, keys: Keys): Promise<Present>;
  /** What the node has received since the last call, by its own count; 0 if it doesn't tell. */
  receivedBytes(node: Node): Promise<number>;
}

export function createSideChannel(
  connectSource: () => Promise<Connection>,
  connectNode: ConnectNode,
): SideChannel {
  const source = reopening(connectSource);
  const connectionTo = lanes(connectNode);
  const firstPass = createFirstPass({ memoryUsage: true });
  /** By address: as last told. */
  const receivedBytes = new Map<string, number>();

  /** A command for each key, because their slots differ. */
  async function askEach(
    word: 'EXISTS' | 'DEL',
    { node, asking }: AskedNode,
    keys: Keys,
  ): Promise<Present> {
    const connection = await connectionTo(node);
    const replies = await Promise.all(
      Array.from({ length: keys.count }, (_, index) => {
        if (asking) connection.call('ASKING').catch(() => undefined);
        return connection.call(word, keyAt(namesOf(keys), index));
      }),
    );
    return {
      indexes: replies.flatMap((reply, index) => (reply === 1 ? [index] : [])),
      refused: replies.flatMap((reply, index) =>
        reply instanceof ErrorReply && isPassing(reply.text) ? [{ index, text: reply.text }] : [],
      ),
    };
  }

  return {
    async compare({ node, asking }, keys) {
      const ends = { source: await source(), node: await connectionTo(node), asking };
      return compareKeys(firstPass, ends, keys);
    },
    present: (at, keys) => askEach('EXISTS', at, keys),
    remove: (at, keys) => askEach('DEL', at, keys),
    async receivedBytes(node) {
      const connection = await connectionTo(node);
      const info = textOf(await connection.call('INFO', 'stats'));
      const total = Number(/total_net_input_bytes:(\d+)/.exec(info)?.[1] ?? NaN);
      const grown = total - (receivedBytes.get(node.address) ?? NaN);
      receivedBytes.set(node.address, total);
      return grown > 0 ? grown : 0;
    },
  };
}

/** How many keys are looked at closely at one time. */
const looksAtOnce = 16;

/** Sorts keys by what `compare/` says of them. @throws ConnectionError when a side is lost. */
async function compareKeys(
  firstPass: FirstPass,
  ends: { readonly source: Connection; readonly node: Connection; readonly asking: boolean },
  keys: Keys,
): Promise<Compared> {
  const all = [...Array(keys.count).keys()];
  // Where ASKING must stand ahead of each command, every key is looked at by itself.
  const { small, large } = ends.asking
    ? { small: all, large: [] }
    : await firstPass.suspects(ends, keys);
  const suspects = new Set([...small, ...large]);
  const equal = all.filter((index) => !suspects.has(index));
  const different: number[] = [];
  const absent: number[] = [];
  const missing: number[] = [];
  const refused: Refused[] = [];
  const [source, node] = [sideOf(ends.source), sideOf(ends.node, { asking: ends.asking })];

  async function look(index: number): Promise<void> {
    const [key, name] = [keyAt(keys, index), keyAt(namesOf(keys), index)];
    const found = await compareValue(key, name, source, node).catch(refusalIn);
    if (typeof found === 'string') refused.push({ index, text: found });
    else if (found.same) equal.push(index);
    else if (found.gone === undefined) different.push(index);
    else (found.gone === 'source' ? absent : missing).push(index);
  }

  const limit = pLimit(looksAtOnce);
  const looks = await Promise.allSettled([...suspects].map((index) => limit(look, index)));
  for (const one of looks) if (one.status === 'rejected') throw one.reason;
  return {
    equal: chosen(keys, inOrder(equal)),
    different: chosen(keys, inOrder(different)),
    absent: chosen(keys, inOrder(absent)),
    missing: chosen(keys, inOrder(missing)),
    refused,
  };
}

/** What a server said that may say something else later; what it will never tell is not the same. */
function refusalIn(error: unknown): string | Comparison {
  if (!(error instanceof RefusedError)) throw error;
  if (isPassing(error.reply)) return error.reply;
  return { same: false, kind: 'value', what: error.message };
}

function inOrder(indexes: readonly number[]): readonly number[] {
  return indexes.toSorted((one, other) => one - other);
}
