/**
 * Close looks at the keys that are in doubt: whether the copy in the cluster differs, and in what. Some
 * at a time, because each takes many questions, and few, because each may hold slices of values. How many pages
 * are under way at a time stands at the end.
 */
import type { FirstPass } from '../compare/many.js';
import { atSource, compareValue, inCluster, type Side, sideOf } from '../compare/value.js';
import { forEach } from '../async.js';
import { RefusedError } from '../errors.js';
import { askAt } from '../redis/ask.js';
import type { Connection } from '../redis/connection.js';
import { chosen, slotOf } from '../redis/frames.js';
import { ErrorReply } from '../redis/reply.js';
import type { Keys, Node, Source } from '../types.js';
import type { Difference, Findings } from './differences.js';
import type { Scope } from './scope.js';
import { type Cluster, type Patience, persist, type Server } from './servers.js';

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

export interface Examination {
  readonly source: Server;
  readonly cluster: Cluster;
  readonly toleranceMs: number;
  /** Types and TTLs only. */
  readonly fast: boolean;
}

export type Finding = Pick<Difference, 'kind' | 'message'>;

/**
 * @param name what the key is called in the cluster.
 * @returns how the key differs; `gone` when the source has it no more, undefined when it does not.
 */
export async function examine(
  key: Buffer,
  by: Examination,
  name = key,
): Promise<Finding | 'gone' | undefined> {
  const connection = await by.source.connection();
  try {
    return await look(key, name, by, sideOf(connection, { where: atSource }));
  } catch (error) {
    const where = redirectionIn(error);
    if (where === undefined) throw error;
    if (where.code === 'ASK') return 'gone';
    return misplaced(key, name, by, connection, where.address);
  }
}

async function look(
  key: Buffer,
  name: Buffer,
  { cluster, toleranceMs, fast }: Examination,
  source: Side,
): Promise<Finding | 'gone' | undefined> {
  const target: Side = {
    name: 'the cluster',
    where: inCluster,
    ask: (words) => cluster.ask(name, words),
  };
  const found = await compareValue(key, name, source, target, { toleranceMs, typesOnly: fast });
  if (found.same) return undefined;
  if (found.gone === 'source') return 'gone';
  if (found.gone === undefined) return { kind: found.kind, message: found.what };
  // What is about to expire may have done so over there.
  if (found.ttlMs >= 0 && found.ttlMs <= toleranceMs) return 'gone';
  return { kind: 'missing', message: `a ${found.type} ${atSource}` };
}

/**
 * A node of a source cluster redirects questions about a key that it has listed itself: either the slot
 * is on its way to the node, or has gone away with the key, or the key lies where clients don't find it.
 */
async function misplaced(
  key: Buffer,
  name: Buffer,
  by: Examination,
  connection: Connection,
  owner: string,
): Promise<Finding | 'gone' | undefined> {
  const slot = slotOf(key, 0, key.length);
  const where = `it lies on ${connection.address}, but its slot ${String(slot)} is ${owner}'s`;
  const mend = `"cluster-import check --to ${owner} --fix-keys" moves it to its owner`;
  try {
    const found = await look(key, name, by, sideOf(connection, { where: atSource, asking: true }));
    if (typeof found !== 'object') return found;
    const message = `${found.message} (${where}; unless that slot is being moved, ${mend})`;
    return { kind: found.kind, message };
  } catch (error) {
    if (redirectionIn(error) === undefined) throw error;
  }
  if ((await askAt(connection, ['CLUSTER', 'COUNTKEYSINSLOT', slot])) === 0) return 'gone';
  return { kind: 'misplaced', message: `${where} (${mend})` };
}

/** Only sources redirect: what the cluster says of this kind is followed. */
function redirectionIn(error: unknown): { code: string; address: string } | undefined {
  if (!(error instanceof RefusedError)) return undefined;
  const [code = '', , address = ''] = error.reply.split(' ');
  return code === 'MOVED' || code === 'ASK' ? { code, address } : undefined;
}

/* Goes through pages of keys with a few of them under way at a time: memory has a bound, and so has waiting. */

/** So many keys are asked for at one time; SCAN's pages are about as large. */
const pagesAtOnce = 12;

/** @throws what the work throws first, once all that had begun is over. */
export async function sweep(
  pages: AsyncIterable<Keys>,
  signal: AbortSignal,
  work: (page: Keys) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for await (const page of pages) {
    const one = work(page)
      .catch((error: unknown) => failures.push(error))
      .then(() => void underWay.delete(one));
    underWay.add(one);
    if (underWay.size >= pagesAtOnce) await Promise.race(underWay);
    if (failures.length > 0 || signal.aborted) break;
  }
  await Promise.all(underWay);
  if (failures.length > 0) throw failures[0];
}

/**
 * A random part of the keys.
 * @param share 0 to 1; of any number of keys about that many are taken.
 */
export function sampler(share: number): (page: Keys) => Keys {
  if (share >= 1) return (page) => page;
  return (page) => {
    const places: number[] = [];
    for (let place = 0; place < page.count; place++) if (Math.random() < share) places.push(place);
    return chosen(page, places);
  };
}
