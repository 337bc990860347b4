/** Ids of stream entries (`1700000000000-3`): two 64-bit numbers, so counted as BigInts. */
export type StreamId = string;

/** The one behind it. Ranges that leave out their first entry exist since 6.2 only. */
export function nextId(id: StreamId): StreamId {
  const [ms, seq] = parts(id);
  return seq < 2n ** 64n - 1n ? `${String(ms)}-${String(seq + 1n)}` : `${String(ms + 1n)}-0`;
}

function parts(id: StreamId): [ms: bigint, seq: bigint] {
  const [ms = '', seq = '0'] = id.split('-');
  return [BigInt(ms), BigInt(seq)];
}
