/**
 * Whether a value that could not be stored because its key is there already equals what is there:
 * it is stored beside it under a temporary name in the same slot, and the two are compared.
 */
import type { Connection } from '../../redis/connection.js';
import { frame } from '../../redis/frames.js';
import { keyAt, namesOf, slice } from '../../redis/keys.js';
import { ErrorReply } from '../../redis/reply.js';
import type { Batch, Keys } from '../../types.js';
import { compareKeys } from '../compare.js';
import { temporaryNameFor } from '../elements/temporary.js';
import { isPassing, type Refused } from '../refused.js';

export interface Examined {
  readonly equal: readonly number[];
  readonly different: readonly number[];
  readonly refused: readonly Refused[];
}

/** @param storeAs stores the value of the key at a place under another name. */
export async function examine(
  connection: Connection,
  batch: Pick<Batch, 'keys' | 'asking'>,
  places: readonly number[],
  storeAs: (place: number, name: Buffer) => Promise<unknown>,
): Promise<Examined> {
  const equal: number[] = [];
  const different: number[] = [];
  const refused: Refused[] = [];
  const side = { connection, asking: batch.asking };
  for (const place of places) {
    const real = namesOf(slice(batch.keys, place, place + 1));
    const name = temporaryNameFor(keyAt(real, 0));
    const reply = await storeAs(place, frame(name));
    if (reply instanceof ErrorReply) {
      if (isPassing(reply.text)) refused.push({ place, text: reply.text });
      else different.push(place);
      continue;
    }
    try {
      const bytes = frame(name);
      const beside: Keys = {
        bytes,
        starts: Uint32Array.of(0, bytes.length),
        count: 1,
        names: real,
      };
      const compared = await compareKeys(side, side, beside);
      const [refusal] = compared.refused;
      if (refusal) refused.push({ place, text: refusal.text });
      // It goes round again, as if the node had asked for that.
      else if (compared.missing.count > 0) refused.push({ place, text: 'TRYAGAIN it is gone now' });
      else if (compared.different.count > 0) different.push(place);
      else equal.push(place);
    } finally {
      if (batch.asking) connection.call('ASKING').catch(() => undefined);
      await connection.call('DEL', name).catch(() => undefined);
    }
  }
  return { equal, different, refused };
}
