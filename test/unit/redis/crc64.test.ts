import { expect, test } from 'vitest';
import { Crc64 } from '../../../src/redis/crc64.js';

/** The definition, bit by bit. */
function slowly(bytes: Buffer): string {
  let sum = 0n;
  for (const byte of bytes) {
    sum ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) {
      sum = (sum & 1n) === 1n ? (sum >> 1n) ^ 0x95ac9329ac4bc9b5n : sum >> 1n;
    }
  }
  return sum.toString(16).padStart(16, '0');
}

test('is that of Redis', () => {
  const sum = new Crc64();
  sum.update(Buffer.from('123456789'), 0, 9);
  expect(sum.hex).toBe('e9c6d914c4b8d9ca');
});

test('is the same in pieces of any length, and goes on from digits', () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, at) => (at * 37 + 11) % 256));
  for (let cut = 0; cut <= bytes.length; cut++) {
    const first = new Crc64();
    first.update(bytes, 0, cut);
    const second = new Crc64();
    second.hex = first.hex;
    second.update(bytes, cut, bytes.length);
    expect(second.hex).toBe(slowly(bytes));
    expect(first.hex).toBe(slowly(bytes.subarray(0, cut)));
  }
});
