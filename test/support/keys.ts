/** Keys as the readers hand them on, made of names in latin1. */
import { keysBuilder } from '../../src/redis/frames.js';
import type { Keys } from '../../src/types.js';

export function keysOf(...names: readonly string[]): Keys {
  const builder = keysBuilder(names.length);
  for (const name of names) {
    const frame = Buffer.from(`$${String(name.length)}\r\n${name}\r\n`, 'latin1');
    builder.add(frame, 0, frame.length);
  }
  return builder.take();
}

/* Names that keys may have, and that programs forget: keys are bytes. */

/** Every value that a byte can have, in order. */
export const bytesOfAllKinds = Buffer.from(Array.from({ length: 256 }, (_, value) => value));

export const edgeKeys: readonly Buffer[] = [
  Buffer.alloc(0),
  Buffer.from([0]),
  Buffer.from('nul\0in the middle'),
  Buffer.from('nul at the end\0'),
  Buffer.from([0xff, 0xfe, 0x80, 0xc0]), // never valid UTF-8
  Buffer.from('cut short: \u20ac').subarray(0, -1),
  bytesOfAllKinds,
  Buffer.from('with spaces, "quotes", \'quotes\' and 100 %s'),
  Buffer.from('\r\n'),
  Buffer.from('$3\r\nfoo\r\n*1\r\n'),
  Buffer.from('ключ 鍵 🔑'),
  // Hash tags: only what stands between the first { and the next } counts, unless it is nothing.
  Buffer.from('{tag}one'),
  Buffer.from('{tag}two'),
  Buffer.from('a{tag}b'),
  Buffer.from('{a}b'),
  Buffer.from('{}foo}'),
  Buffer.from('foo{}{bar}'),
  Buffer.from('foo{{bar}}zap'),
  Buffer.from('foo{bar}{zap}'),
  Buffer.from('}{tag}'),
  Buffer.from('{'),
  Buffer.from('}'),
  Buffer.from('{}'),
  Buffer.from('{open'),
  Buffer.from('{\0}nul as a tag'),
  Buffer.from('k'.repeat(10_240)),
];

/*
 * The slot of a key, worked out from the specification and by nobody else's code: what the tests
 * check must not be what they check it with.
 */

export function slotOf(key: Buffer | string): number {
  const bytes = Buffer.isBuffer(key) ? key : Buffer.from(key);
  const open = bytes.indexOf('{');
  const close = open < 0 ? -1 : bytes.indexOf('}', open + 1);
  const hashed = close > open + 1 ? bytes.subarray(open + 1, close) : bytes;
  return crc16(hashed) % 16_384;
}

/** CRC-16/XMODEM, bit by bit. */
function crc16(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}
