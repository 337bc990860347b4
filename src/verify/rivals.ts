/**
 * Keys that more than one source has, with different values: in the cluster there is room for one of
 * them only, and which one that should be is not for us to say.
 */
import { compareValue, sideOf } from '../compare/value.js';
import { askAt } from '../redis/ask.js';
import { ErrorReply } from '../redis/reply.js';
import { persist, type Server } from './read-server.js';
import { forEach } from './sweep.js';
import type { VerifyParts } from './verify-parts.js';

const looksAtOnce = 16;

/** @returns for each key the index of another source that has another value of it. */
export async function rivalsOf(
  { sources, patience, toleranceMs }: VerifyParts,
  index: number,
  keys: readonly Buffer[],
  signal: AbortSignal,
): Promise<readonly (number | undefined)[]> {
  const { of: own, scope } = sources[index] ?? {};
  const rivals: (number | undefined)[] = keys.map(() => undefined);
  if (!own || !scope) return rivals;
  for (const [other, { of, scope: theirs }] of sources.entries()) {
    if (of === own) continue;
    await forEach(keys, signal, looksAtOnce, async (key, at) => {
      const differs = await persist('from', patience, signal, () => {
        // Only what would have the same name is in its way.
        const same = theirs.keyOf(scope.nameOf(key));
        return same ? isApart(key, own, same, of) : Promise.resolve(false);
      });
      if (differs) rivals[at] ??= other;
    });
  }
  return rivals;

  async function isApart(key: Buffer, one: Server, name: Buffer, other: Server): Promise<boolean> {
    const [here, there] = await Promise.all([one.connection(), other.connection()]);
    const exists = await askAt(there, ['EXISTS', name]);
    if (exists === 0 || (exists instanceof ErrorReply && exists.code === 'MOVED')) return false;
    const found = await compareValue(key, name, sideOf(here), sideOf(there), { toleranceMs });
    // What has gone from either meanwhile is no rival any more.
    return !found.same && found.gone === undefined;
  }
}
