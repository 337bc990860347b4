/** What becomes of keys whose node could not be used for too long. */
import { keyAt } from '../redis/keys.js';
import type { Batch, KeyFailure, Keys, Outcome } from '../types.js';

/** What a batch for a node that was given up ends with. */
export function refused(batch: Batch): Outcome {
  const message = `${batch.node.address} could not be used for too long`;
  const failures = failuresOf(batch.keys, 'unavailable', message);
  const none = { moved: 0, gone: 0, repeated: 0, conflicting: 0, bytes: 0, retries: [] };
  return { ...none, failed: failures.length, failures };
}

export function failuresOf(keys: Keys, why: KeyFailure['class'], message: string): KeyFailure[] {
  return Array.from({ length: keys.count }, (_, place) => ({
    key: Buffer.from(keyAt(keys, place)),
    class: why,
    message,
  }));
}
