/** Names that keys may have, and that programs forget: keys are bytes. */

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
