/**
 * Keys that more than one source has, with different values: in the cluster there is room for one of
 * them only, and which one that should be is not for us to say.
 */
import { refusing } from './contents/asker.js';
import { compareBoth } from './examine.js';
import { askAt, persist, type Server } from './server.js';
import { forEach } from './sweep.js';
import type { VerifyParts } from './parts.js';

const looksAtOnce = 16;

/** @returns for each key the index of another source that has another value of it. */
export async function rivalsOf(
  { sources, patience, toleranceMs }: VerifyParts,
  index: number,
  keys: readonly Buffer[],
  signal: AbortSignal,
): Promise<readonly (number | undefined)[]> {
  const own = sources[index]?.of;
  const rivals: (number | undefined)[] = keys.map(() => undefined);
  if (!own) return rivals;
  for (const [other, { of }] of sources.entries()) {
    if (of === own) continue;
    await forEach(keys, signal, looksAtOnce, async (key, at) => {
      const differs = await persist('from', patience, signal, () => isApart(key, own, of));
      if (differs) rivals[at] ??= other;
    });
  }
  return rivals;

  async function isApart(key: Buffer, one: Server, other: Server): Promise<boolean> {
    const [here, there] = await Promise.all([one.connection(), other.connection()]);
    if ((await askAt(there, ['EXISTS', key])) === 0) return false;
    const found = await compareBoth(
      key,
      refusing(one.name, (words) => askAt(here, words)),
      refusing(other.name, (words) => askAt(there, words)),
      { toleranceMs, fast: false },
    );
    // What has gone from either meanwhile is no rival any more.
    return typeof found === 'object' && found.kind !== 'missing';
  }
}
