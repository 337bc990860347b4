/**
 * Close looks at the keys that are in doubt: some at a time, because each takes many questions, and
 * few, because each may hold slices of values.
 */
import type { Difference } from './difference.js';
import { examine } from './examine.js';
import { persist } from './read-server.js';
import { forEach } from './sweep.js';
import type { ListedSource, VerifyParts } from './verify-parts.js';

export interface Looks {
  /** Neither in here nor below: not looked at, because of the signal. */
  readonly equal: readonly Buffer[];
  /** The source has them no more. */
  readonly gone: readonly Buffer[];
  readonly apart: readonly Difference[];
}

const looksAtOnce = 16;
/** What a slice of a large value may come to. */
const sliceBytes = 1024 * 1024;

/** @param size `large`: of values that are compared in slices few are looked at at a time. */
export async function lookClosely(
  { sources, cluster, toleranceMs, fast, patience }: Omit<VerifyParts, 'findings'>,
  index: number,
  keys: readonly Buffer[],
  signal: AbortSignal,
  size: 'small' | 'large' = 'small',
): Promise<Looks> {
  const { of: source, firstPass, scope } = sources[index] as ListedSource;
  const by = { source, cluster, toleranceMs, fast };
  const [equal, gone, apart] = [[], [], []] as [Buffer[], Buffer[], Difference[]];
  await forEach(keys, signal, looksAtOnce, async (key) => {
    const look = () => persist('from', patience, signal, () => examine(key, by, scope.nameOf(key)));
    const found = await (size === 'large' ? firstPass.budget.spend(sliceBytes, look) : look());
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
  size: 'small' | 'large' = 'small',
): Promise<Looks> {
  const looks = await lookClosely(parts, index, keys, signal, size);
  for (let at = 0; at < looks.gone.length; at++) parts.findings.addGone();
  for (const difference of looks.apart) parts.findings.add(difference);
  return looks;
}
