/** Values of modules, of which only the payload can be had. */
import { askBoth, alike, type Comparison } from './asker.js';

/** Version and checksum at the end. */
const trailerBytes = 10;

export const payloads: Comparison = async (pair) => {
  const [one, other] = await askBoth(pair, 'DUMP', pair.key);
  if (!Buffer.isBuffer(one) || !Buffer.isBuffer(other)) return undefined;
  const same = alike(one.subarray(0, -trailerBytes), other.subarray(0, -trailerBytes));
  return same ? undefined : 'its payload differs';
};
