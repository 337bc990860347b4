/**
 * Close looks at the keys that are in doubt: some at a time, because each takes many questions, and
 * few, because each may hold slices of values.
 */
import type { FirstPass } from '../compare/many.js';
import { compareValue, sideOf } from '../compare/value.js';
import { askAt } from '../redis/ask.js';
import { ErrorReply } from '../redis/reply.js';
import type { Node, Source } from '../types.js';
import { type Cluster, type Patience, persist, type Server } from './servers.js';
import type { Difference, Findings } from './differences.js';
import { examine } from './examine.js';
import type { Scope } from './scope.js';
import { forEach } from './sweep.js';

export interface Listed<Of> {
  readonly of: Of;
  readonly keys: Source;
}

export interface ListedSource extends Listed<Server> {
  readonly scope: Scope;
  readonly firstPass: FirstPass;
}

/** What verifying works with: what is compared, and how closely. */
export interface VerifyParts {
  readonly sources: readonly ListedSource[];
  readonly masters: readonly Listed<Node>[];
  readonly cluster: Cluster;
  readonly expires: boolean;
  readonly toleranceMs: number;
  readonly fast: boolean;
  /** Of the keys, 0 to 1. */
  readonly share: number;
  readonly patience: Patience;
  readonly findings: Findings;
}

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

/**
 * Keys that more than one source has, with different values: in the cluster there is room for one of
 * them only, and which one that should be is not for us to say.
 * @returns for each key the index of another source that has another value of it.
 */
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
