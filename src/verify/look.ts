/**
 * Close looks at the keys that are in doubt: some at a time, because each takes many questions, and
 * few, because each may hold slices of values.
 */
import type { Difference } from './difference.js';
import { examine } from './examine.js';
import { persist, type Server } from './server.js';
import { forEach } from './sweep.js';
import type { Listed, VerifyParts } from './parts.js';

export interface Looks {
  /** Neither in here nor below: not looked at, because of the signal. */
  readonly equal: readonly Buffer[];
  /** The source has them no more. */
  readonly gone: readonly Buffer[];
  readonly apart: readonly Difference[];
}

/** Looks at keys of a source. */
export async function lookClosely(
  { sources, cluster, toleranceMs, fast, patience }: Omit<VerifyParts, 'findings'>,
  index: number,
  keys: readonly Buffer[],
  signal: AbortSignal,
): Promise<Looks> {
  const { of: source } = sources[index] as Listed<Server>;
  const by = { source, cluster, toleranceMs, fast };
  const [equal, gone, apart] = [[], [], []] as [Buffer[], Buffer[], Difference[]];
  await forEach(keys, signal, async (key) => {
    const found = await persist('from', patience, signal, () => examine(key, by));
    if (found === 'gone') gone.push(key);
    else if (found) apart.push({ key, ...found, source: index });
    else equal.push(key);
  });
  return { equal, gone, apart };
}

/** Looks at keys of a source, and puts down what was found. */
export async function examineAll(
  parts: VerifyParts,
  index: number,
  keys: readonly Buffer[],
  signal: AbortSignal,
): Promise<Looks> {
  const looks = await lookClosely(parts, index, keys, signal);
  for (let at = 0; at < looks.gone.length; at++) parts.findings.addGone();
  for (const difference of looks.apart) parts.findings.add(difference);
  return looks;
}
