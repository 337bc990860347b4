/**
 * Keys that lie on a node which does not own their slot: nobody finds them there, since the node
 * sends whoever asks elsewhere. They come from data files that were put under a node.
 */
import { NumbersReader } from '../redis/numbers.js';
import { connect } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { command } from '../redis/frames.js';
import type { NodeLine } from '../redis/nodes.js';
import { slotCount } from '../redis/slot.js';

export interface StrayCount {
  readonly slot: number;
  readonly keys: number;
}

/** @param own the node's own line, which tells the slots that are its. */
export async function countStrays(
  endpoint: Endpoint,
  own: NodeLine,
  timeoutMs: number,
): Promise<readonly StrayCount[]> {
  const others = foreignSlots(own);
  if (others.length === 0) return [];
  const connection = await connect(endpoint, { timeoutMs });
  try {
    const counts = await new Promise<Float64Array>((resolve, reject) => {
      for (const slot of others) {
        connection.out.append(command('CLUSTER', 'COUNTKEYSINSLOT', slot));
      }
      connection.expect(new NumbersReader(others.length, resolve, reject));
    });
    return others.flatMap((slot, at) => {
      const keys = counts[at] as number;
      return keys > 0 ? [{ slot, keys }] : [];
    });
  } finally {
    connection.close();
  }
}

function foreignSlots({ slots }: NodeLine): readonly number[] {
  const isOwn = new Uint8Array(slotCount);
  for (const [first, last] of slots) isOwn.fill(1, first, last + 1);
  return Array.from({ length: slotCount }, (_, slot) => slot).filter((slot) => isOwn[slot] === 0);
}
