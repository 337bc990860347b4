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

/** The slot, 0 to 16383, of the key `bytes[start .. end)`. */
export function slotOf(bytes: Buffer, start: number, end: number): number {
  let from = start;
  let to = end;
  for (let open = start; open < end; open++) {
    if (bytes[open] !== 123) continue;
    for (let close = open + 1; close < end; close++) {
      if (bytes[close] !== 125) continue;
      if (close > open + 1) {
        from = open + 1;
        to = close;
      }
      break;
    }
    break;
  }
  let crc = 0;
  for (let at = from; at < to; at++) {
    crc =
      ((crc << 8) & 0xffff) ^ (crc16Table[((crc >> 8) ^ (bytes[at] as number)) & 0xff] as number);
  }
  return crc & (slotCount - 1);
}
