/**
 * Strings that don't compress, of 1 KB, 16 KB and 10 MB: images, encrypted or already packed values.
 * DUMP and MIGRATE try to compress every value, and find out that they can't.
 */
import { randomFillSync } from 'node:crypto';
import { feed } from '../lab/feed.js';
import type { Dataset } from '../types.js';

type Sizes = Pick<Dataset, 'keys' | 'slowKeys' | 'quickKeys' | 'quickSlowKeys'>;

function noise(name: string, title: string, bytesPerKey: number, sizes: Sizes): Dataset {
  return {
    name,
    title,
    ...sizes,
    bytesPerKey,
    read: 'GET',
    expires: false,
    fill: fillNoise(bytesPerKey),
  };
}

/** Each value is another stretch of the same noise: making it anew would take longer than the rest. */
function fillNoise(valueBytes: number): Dataset['fill'] {
  let pool: Buffer | undefined;
  return async (source, keys) => {
    pool ??= randomFillSync(Buffer.allocUnsafe(valueBytes + 4 * 1024 * 1024));
    const room = pool.length - valueBytes;
    const bytes = pool;
    await feed(source, keys, (at) => {
      const from = (at * 7919) % room;
      return ['SET', `noise:${String(at)}`, bytes.subarray(from, from + valueBytes)];
    });
  };
}

export const strings1k = noise('strings-1k', 'strings of 1 KB, incompressible', 1024, {
  keys: 300_000,
  slowKeys: 60_000,
  quickKeys: 80_000,
  quickSlowKeys: 10_000,
});

export const strings16k = noise('strings-16k', 'strings of 16 KB, incompressible', 16 * 1024, {
  keys: 40_000,
  slowKeys: 20_000,
  quickKeys: 8_000,
  quickSlowKeys: 4_000,
});

export const strings10m = noise('strings-10m', 'strings of 10 MB', 10 * 1024 * 1024, {
  keys: 60,
  slowKeys: 60,
  quickKeys: 15,
  quickSlowKeys: 15,
});
