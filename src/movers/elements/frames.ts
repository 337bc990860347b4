/** Elements as frames: sent in pieces that no server minds, reordered where commands want it. */
import { keysBuilder, slice } from '../../redis/keys.js';
import type { Keys } from '../../types.js';
import { sliceElements } from './pace.js';
import type { Word, Writer } from './writer.js';

/**
 * Sends elements behind these words, in as many commands as they need.
 * @param perElement how many frames make one element.
 */
export function sendElements(
  writer: Writer,
  words: readonly Word[],
  frames: Keys,
  perElement: 1 | 2,
): void {
  const most = sliceElements * perElement;
  for (let from = 0; from < frames.count; from += most) {
    writer.send(words, slice(frames, from, Math.min(frames.count, from + most)));
  }
}

/** Pairs the other way round: ZSCAN answers with members first, ZADD wants scores first. */
export function swapped(pairs: Keys): Keys {
  const builder = keysBuilder(pairs.count);
  for (let at = 0; at + 1 < pairs.count; at += 2) {
    const first = pairs.starts[at] as number;
    const second = pairs.starts[at + 1] as number;
    builder.add(pairs.bytes, second, pairs.starts[at + 2] as number);
    builder.add(pairs.bytes, first, second);
  }
  return builder.take();
}
