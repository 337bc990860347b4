/** Keys as the readers hand them on, made of names in latin1. */
import { keysBuilder } from '../../src/redis/keys.js';
import type { Keys } from '../../src/types.js';

export function keysOf(...names: readonly string[]): Keys {
  const builder = keysBuilder(names.length);
  for (const name of names) {
    const frame = Buffer.from(`$${String(name.length)}\r\n${name}\r\n`, 'latin1');
    builder.add(frame, 0, frame.length);
  }
  return builder.take();
}
