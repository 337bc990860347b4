/**
 * The hash slot of a key, computed where the key stands in a buffer.
 *
 * Own code because it runs once per key on bytes that must not be sliced, and because
 * cluster-key-slot 1.1.2 takes `{}foo}` for a key with the hash tag `foo`: the servers stop at the
 * first `}`, find the tag empty, and hash the whole key (keyHashSlot in Redis' cluster.c).
 */
const crc16Table = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  crc16Table[byte] = crc;
}

export const slotCount = 16384;

const openBrace = 123;
const closeBrace = 125;

/** The slot, 0 to 16383, of the key `bytes[start .. end)`. */
export function slotOf(bytes: Buffer, start: number, end: number): number {
  let crc = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    // Most keys have no brace, so that is looked for on the way.
    if (byte === openBrace) return slotOfTagged(bytes, start, end, at);
    crc = ((crc << 8) & 0xffff) ^ (crc16Table[(crc >> 8) ^ byte] as number);
  }
  return crc & (slotCount - 1);
}

/** @param open where the first brace stands. */
function slotOfTagged(bytes: Buffer, start: number, end: number, open: number): number {
  let close = open + 1;
  while (close < end && bytes[close] !== closeBrace) close++;
  const isTag = close < end && close > open + 1;
  const from = isTag ? open + 1 : start;
  const to = isTag ? close : end;
  let crc = 0;
  for (let at = from; at < to; at++) {
    crc = ((crc << 8) & 0xffff) ^ (crc16Table[(crc >> 8) ^ (bytes[at] as number)] as number);
  }
  return crc & (slotCount - 1);
}
