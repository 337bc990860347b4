/** Hashes of 20 fields, as sessions and records are kept. */
import { feed } from '../lab/feed.js';
import type { Dataset } from '../types.js';

const fields = 20;

export const hashes20: Dataset = {
  name: 'hashes-20',
  title: 'hashes of 20 fields',
  keys: 200_000,
  slowKeys: 60_000,
  quickKeys: 80_000,
  quickSlowKeys: 10_000,
  bytesPerKey: fields * ('field-00'.length + 'value-000000000-00'.length),
  read: 'DUMP',
  expires: false,
  fill: (source, keys) => feed(source, keys, hash),
};

function hash(at: number): readonly string[] {
  const number = String(at).padStart(9, '0');
  const pairs = Array.from({ length: fields }, (_, place) => {
    const field = String(place).padStart(2, '0');
    return [`field-${field}`, `value-${number}-${field}`];
  });
  return ['HSET', `hash:${String(at)}`, ...pairs.flat()];
}
