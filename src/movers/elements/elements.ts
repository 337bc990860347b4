/**
 * Takes values to their node element by element: those whose payload the node does not take, and
 * those too large to be read or written at one time. Slower than any other way, and the only one
 * that needs nothing of the two servers but ordinary commands.
 *
 * In slices, so that neither side blocks for long; each value is put together under a temporary
 * name (writer.ts). Only sources before 4.0, which free memory at once, stand still at the end
 * for as long as DEL takes: half a second for a million elements, say. A scan of a value is no snapshot: that nobody touched the key meanwhile is
 * what the guard under which it is read makes sure of (relay/guard-by-counter.ts, relay/guard-by-watch.ts).
 */
import type { Connection } from '../../redis/connection.js';
import { chosen, keyAt, namesOf } from '../../redis/frames.js';
import { type ConnectNode, lanes } from '../../redis/pool.js';
import type { Sizes } from '../../redis/sizes.js';
import type { Keys, Node } from '../../types.js';
import { type Durability, shortfallOver, type StoreCommands } from '../relay/splice.js';
import type { Passed, StoredPayload, Unmovable } from '../relay/relay-connection.js';
import type { Expiry } from '../relay/deadlines.js';
import type { SentValues } from '../relay/sent-values.js';
import { type Abilities, temporaryNameFor } from './writer.js';
import { type SmallTransfers, transferSmall } from './small-values.js';
import { type Trace, transfer, type Transferred } from './transfer.js';

export interface ElementsPassage {
  /** Whose guard the keys are under; values are read over it, too. */
  readonly source: Connection;
  readonly keys: Keys;
  readonly node: Node;
  readonly overwrite: boolean;
  readonly asking: boolean;
  readonly durability: Durability | undefined;
  /** What must be known of each copy afterwards. */
  readonly trace: Trace;
  /** Takes what is sent of small values, to know later what the node was given. Undefined: nobody will ask. */
  readonly sent: SentValues | undefined;
  /** Which values are left out, because they have to go each by itself; undefined: none. */
  readonly sizes: Sizes | undefined;
}

/** What values go by that are stored with one command each. */
export interface SmallValuesOptions {
  /** The commands that store keys at this node. */
  readonly commandsFor: (node: Node, overwrite: boolean) => StoreCommands;
  readonly expiry: Expiry;
}

/** How many keys are under way at one time: as many slices may be held in memory. */
const keysAtOnce = 32;

export class Elements {
  // Of their own: on the others values pass in pieces, and nothing may get between these.
  readonly #connectNode: ConnectNode;

  constructor(
    connectNode: ConnectNode,
    readonly abilitiesOf: (node: Node) => Abilities,
    readonly smallValues: SmallValuesOptions,
  ) {
    this.#connectNode = lanes(connectNode);
  }

  /** @throws ConnectionError when the source is lost. */
  async pass(passage: ElementsPassage): Promise<Passed> {
    const { keys, durability } = passage;
    const node = await this.#connectNode(passage.node).catch((error: unknown) => error as Error);
    if (node instanceof Error) return { ...nothing, lost: node };
    const { commandsFor, expiry } = this.smallValues;
    const abilities = this.abilitiesOf(passage.node);
    const commands = commandsFor(passage.node, passage.overwrite);
    const passed = passedOf(await transferAll(passage, node, { abilities, commands, expiry }));
    if (!durability || passed.lost || keys.count === 0) return passed;
    try {
      return { ...passed, undurable: await shortfallOver(node, durability) };
    } catch (error) {
      return { ...passed, lost: error as Error };
    }
  }
}

async function transferAll(
  { source, keys, overwrite, asking, trace, sent, sizes }: ElementsPassage,
  node: Connection,
  { abilities, commands, expiry }: Pick<SmallTransfers, 'abilities' | 'commands' | 'expiry'>,
): Promise<readonly Transferred[]> {
  const names = namesOf(keys);
  // A copy that is watched is watched over another connection.
  const results: (Transferred | undefined)[] =
    typeof trace === 'string'
      ? await transferSmall({ source, node, keys, asking, abilities, commands, expiry, sent })
      : Array.from({ length: keys.count });
  let rest = [...results.keys()].filter((index) => results[index] === undefined);
  const beyond = rest.length > 0 ? await sizes?.beyond(source, chosen(keys, rest)) : undefined;
  for (const place of beyond ?? []) results[rest[place] as number] = { kind: 'oversized' };
  rest = rest.filter((index) => results[index] === undefined);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = rest[next++]; index !== undefined; index = rest[next++]) {
      const key = keyAt(keys, index);
      const name = keyAt(names, index);
      const temporary = temporaryNameFor(name);
      const one = { source, node, key, name, temporary, overwrite, asking, abilities, trace };
      results[index] = await transfer(one);
    }
  };
  const workers = Array.from({ length: Math.min(keysAtOnce, rest.length) }, async () => {
    try {
      await work();
    } catch (error) {
      // The source is lost: nothing more is begun.
      next = rest.length;
      throw error;
    }
  });
  // Nothing goes on when the batch has ended.
  const failed = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  return results as readonly Transferred[];
}

const nothing: Passed = {
  absent: [],
  refusedBySource: undefined,
  refusals: [],
  lost: undefined,
  undurable: undefined,
  bytes: 0,
};

function passedOf(results: readonly Transferred[]): Passed {
  const absent: number[] = [];
  const oversized: number[] = [];
  const refusals: { index: number; text: string | null }[] = [];
  const unmovable: Unmovable[] = [];
  let { refusedBySource, lost, bytes } = nothing;
  const payloads: StoredPayload[] = [];
  for (const [index, result] of results.entries()) {
    if (result.kind === 'stored') {
      bytes += result.bytes;
      const { payload, deadlineMs } = result;
      if (payload) payloads.push({ index, payload, deadlineMs });
    }
    if (result.kind === 'absent') absent.push(index);
    else if (result.kind === 'oversized') oversized.push(index);
    else if (result.kind === 'exists') refusals.push({ index, text: null });
    else if (result.kind === 'unmovable') unmovable.push({ ...result, index });
    else if (result.kind === 'lost') lost = result.error;
    else if (result.kind !== 'refused') continue;
    else if (result.by === 'node') refusals.push({ index, text: result.text });
    else {
      absent.push(index);
      refusedBySource = result.text;
    }
  }
  return {
    ...nothing,
    absent,
    oversized,
    refusals,
    unmovable,
    refusedBySource,
    lost,
    bytes,
    payloads,
  };
}
