/**
 * Counts what became of every key, a few additions for each batch. The sum is asserted for every
 * batch, in production too: a mover that loses count of a key must not end in a report that looks
 * complete.
 */
import type { ServerStates } from './server-states.js';
import type {
  Batch,
  BatchEvent,
  KeyFailure,
  MoverName,
  NodeTally,
  Outcome,
  Retry,
  ServerHealth,
  Source,
  SourceTally,
  Tally,
  TallySnapshot,
  FailureCause,
} from '../types.js';

/** Of the first ones, and of the last ones. */
const keptFailures = 100;

export interface EngineTally extends Tally {
  started(batch: Batch): void;
  /** @throws Error when the outcome does not add up to the batch. */
  ended(batch: Batch, mover: MoverName, outcome: Outcome, durationMs: number): void;
  /** Keys that would have gone round again, and no longer do. */
  givenUp(retry: Retry, failures: readonly KeyFailure[], address: string): void;
  /** The run stops while these keys still had to go round: they stay at the source. */
  leftBehind(keyCount: number): void;
  /** Their copies may be at a node, and it is not known or not done that the source deletes them. */
  mayBeOnBothSides(keyCount: number): void;
}

interface NodeCounts {
  keys: number;
  bytes: number;
  inflightKeys: number;
  retries: number;
  unmoved: number;
}

const well: ServerHealth = { state: 'ok', sinceMs: null, why: null };

/** Before the first key. */
export const nothingCounted = {
  scanned: 0,
  moved: 0,
  gone: 0,
  conflicting: 0,
  failed: 0,
  bytes: 0,
  retries: 0,
  redirects: 0,
  onBothSides: 0,
} satisfies Partial<TallySnapshot>;

export interface TallyOptions {
  /** How the servers do; undefined: nobody knows. */
  readonly states?: Pick<ServerStates, 'of'> | undefined;
  /** The source's server; undefined: it is a file. */
  readonly address?: string | undefined;
}

export function createTally(
  source: Source,
  mode: 'move' | 'copy',
  { states, address: sourceAddress }: TallyOptions = {},
): EngineTally {
  const startedAtMs = Date.now();
  const nodes = new Map<string, NodeCounts>();
  const failures: KeyFailure[] = [];
  const latest = latestOf<KeyFailure>(keptFailures);
  const causes = createCauses(source.name);
  const batchListeners: ((event: BatchEvent) => void)[] = [];
  const failureListeners: ((failure: KeyFailure) => void)[] = [];
  const sum = { ...nothingCounted };

  function countsOf(address: string): NodeCounts {
    let counts = nodes.get(address);
    if (!counts) {
      counts = { keys: 0, bytes: 0, inflightKeys: 0, retries: 0, unmoved: 0 };
      nodes.set(address, counts);
    }
    return counts;
  }

  function keep(ended: readonly KeyFailure[]): void {
    for (const failure of ended) {
      if (failures.length < keptFailures) failures.push(failure);
      latest.add(failure);
      causes.add(failure);
      for (const listener of failureListeners) listener(failure);
    }
  }

  /**
   * The listing runs ahead of the work, by all that is kept back and in flight; so the share of the
   * keys that were dealt with counts too, as far as it is known how many there are.
   */
  function progress(): number {
    // What is copied again behind the first copy is none of what was to be done.
    if (source.isFollowed === true && source.progress === 1) return 1;
    const done = sum.moved + sum.gone + sum.conflicting + sum.failed;
    const expected = Math.max(sum.scanned, source.expectedKeys ?? 0);
    const ours = expected === 0 ? 1 : Math.min(1, done / expected);
    const earlier = source.earlierShare ?? 0;
    const share = earlier + (1 - earlier) * ours;
    const isIdle = [...nodes.values()].every(({ inflightKeys }) => inflightKeys === 0);
    return Math.min(source.progress, share, isIdle ? 1 : 0.999);
  }

  return {
    started(batch) {
      if (batch.attempt === 0) sum.scanned += batch.keys.count;
      countsOf(batch.node.address).inflightKeys += batch.keys.count;
    },
    ended(batch, mover, outcome, durationMs) {
      assertSum(batch, outcome);
      const counts = countsOf(batch.node.address);
      counts.inflightKeys -= batch.keys.count;
      counts.keys += outcome.moved;
      counts.bytes += outcome.bytes;
      counts.unmoved += outcome.conflicting + outcome.failed;
      sum.scanned -= outcome.repeated;
      sum.moved += outcome.moved;
      sum.gone += outcome.gone;
      sum.conflicting += outcome.conflicting;
      sum.failed += outcome.failed;
      sum.bytes += outcome.bytes;
      for (const retry of outcome.retries) {
        sum.retries += retry.keys.count;
        counts.retries += retry.keys.count;
        if (retry.class === 'redirected') sum.redirects += retry.keys.count;
      }
      keep(outcome.failures);
      for (const listener of batchListeners) {
        listener(eventOf(batch.node.address, mover, outcome, durationMs));
      }
    },
    givenUp(retry, ended, address) {
      sum.failed += retry.keys.count;
      countsOf(address).unmoved += retry.keys.count;
      keep(ended);
    },
    leftBehind(keyCount) {
      sum.scanned -= keyCount;
    },
    mayBeOnBothSides(keyCount) {
      // A source that is copied keeps all of its keys.
      if (mode === 'move') sum.onBothSides += keyCount;
    },
    onBatch: (listener) => batchListeners.push(listener),
    onFailure: (listener) => failureListeners.push(listener),
    snapshot(): TallySnapshot {
      const keysLeft =
        mode === 'copy'
          ? source.estimatedKeys
          : Math.max(0, source.estimatedKeys - sum.moved - sum.gone);
      const share = progress();
      const { moved, conflicting, failed } = sum;
      const healthOf = (address: string): ServerHealth => states?.of(address) ?? well;
      const own: SourceTally = {
        name: source.name,
        moved,
        conflicting,
        failed,
        keysLeft,
        progress: share,
        health: sourceAddress === undefined ? well : healthOf(sourceAddress),
      };
      return {
        startedAtMs,
        ...sum,
        nodes: [...nodes].map(([address, counts]): NodeTally => ({
          address,
          ...counts,
          health: healthOf(address),
        })),
        sources: [own],
        causes: causes.all(),
        failures: [...failures],
        latestFailures: latest.all(),
        progress: share,
        earlierShare: source.earlierShare ?? 0,
        sourceKeysLeft: keysLeft,
        expectedKeys:
          source.expectedKeys === undefined ? null : Math.max(sum.scanned, source.expectedKeys),
      };
    },
  };
}

function eventOf(node: string, mover: MoverName, outcome: Outcome, durationMs: number): BatchEvent {
  const { failures, retries, repeated, deleted = 0 } = outcome;
  const troubles = [
    ...failures.map((failure) => [failure.class, 1] as const),
    ...retries.map((retry) => [retry.class, retry.keys.count] as const),
  ];
  return { mover, node, durationMs, troubles, repeated, deleted };
}

function assertSum(batch: Batch, outcome: Outcome): void {
  const retried = outcome.retries.reduce((count, retry) => count + retry.keys.count, 0);
  const { moved, gone, repeated, conflicting, failed } = outcome;
  const accounted = moved + gone + repeated + conflicting + failed + retried;
  if (accounted === batch.keys.count) return;
  throw new Error(
    `of a batch of ${String(batch.keys.count)} keys ${String(accounted)} were accounted for ` +
      `(moved ${String(moved)}, gone ${String(gone)}, repeated ${String(repeated)}, ` +
      `conflicting ${String(conflicting)}, failed ${String(failed)}, retried ${String(retried)})`,
  );
}

/** The tallies of several sources as one: what people look at when a run has more than one. */
export function joinTallies(tallies: readonly Tally[]): Tally {
  const [only] = tallies;
  if (only && tallies.length === 1) return only;
  // Which of them was the last only the order tells in which they are heard of.
  const latest = latestOf<KeyFailure>(keptFailures);
  for (const tally of tallies) {
    tally.onFailure((failure) => {
      latest.add(failure);
    });
  }
  return {
    onBatch(listener) {
      for (const tally of tallies) tally.onBatch(listener);
    },
    onFailure(listener) {
      for (const tally of tallies) tally.onFailure(listener);
    },
    snapshot: () => ({
      ...joinSnapshots(tallies.map((tally) => tally.snapshot())),
      latestFailures: latest.all(),
    }),
  };
}

/** Where some of them stand counts by how many keys they have. */
export function joinSnapshots(
  parts: readonly TallySnapshot[],
): Omit<TallySnapshot, 'latestFailures'> {
  const sum = (read: (part: TallySnapshot) => number): number =>
    parts.reduce((total, part) => total + read(part), 0);
  const weight = ({ moved, gone, sourceKeysLeft }: TallySnapshot): number =>
    Math.max(1, moved + gone + sourceKeysLeft);
  return {
    startedAtMs: Math.min(...parts.map((part) => part.startedAtMs)),
    scanned: sum((part) => part.scanned),
    moved: sum((part) => part.moved),
    gone: sum((part) => part.gone),
    conflicting: sum((part) => part.conflicting),
    failed: sum((part) => part.failed),
    bytes: sum((part) => part.bytes),
    retries: sum((part) => part.retries),
    redirects: sum((part) => part.redirects),
    onBothSides: sum((part) => part.onBothSides),
    nodes: joinNodes(parts.map((part) => part.nodes)),
    sources: joinSources(parts.map((part) => part.sources)),
    causes: joinCauses(parts.flatMap((part) => part.causes)),
    failures: parts.flatMap((part) => part.failures).slice(0, keptFailures),
    progress: sum((part) => part.progress * weight(part)) / sum(weight),
    earlierShare: sum((part) => part.earlierShare * weight(part)) / sum(weight),
    sourceKeysLeft: sum((part) => part.sourceKeysLeft),
    expectedKeys: parts.some((part) => part.expectedKeys === null)
      ? null
      : sum((part) => part.expectedKeys ?? 0),
  };
}

/** Several attempts at one source count together; where it stands, the last one says. */
function joinSources(sources: readonly (readonly SourceTally[])[]): SourceTally[] {
  return joinBy(
    sources,
    ({ name }) => name,
    (known, source) => {
      known.moved += source.moved;
      known.conflicting += source.conflicting;
      known.failed += source.failed;
      known.keysLeft = source.keysLeft;
      known.progress = source.progress;
      known.health = source.health;
    },
  );
}

function joinNodes(nodes: readonly (readonly NodeTally[])[]): NodeTally[] {
  return joinBy(
    nodes,
    ({ address }) => address,
    (known, node) => {
      known.keys += node.keys;
      known.bytes += node.bytes;
      known.inflightKeys += node.inflightKeys;
      known.retries += node.retries;
      known.unmoved += node.unmoved;
      known.health = node.health;
    },
  );
}

/** The last so many of what goes by, in order. */
interface Latest<T> {
  add(one: T): void;
  all(): readonly T[];
}

function latestOf<T>(count: number): Latest<T> {
  let kept: T[] = [];
  return {
    add(one) {
      kept.push(one);
      // Now and then, so that not each one costs a copy.
      if (kept.length > 2 * count) kept = kept.slice(-count);
    },
    all: () => kept.slice(-count),
  };
}

type Writable<T> = { -readonly [Field in keyof T]: T[Field] };

/**
 * Those of one name as one, in the order in which the names first come.
 * @param add adds one to what is known of its name, in place: a hundred nodes in the tallies of a thousand sources are
 *   many, and are joined often.
 */
function joinBy<T>(
  lists: readonly (readonly T[])[],
  nameOne: (one: T) => string,
  add: (known: Writable<T>, one: T) => void,
): T[] {
  const joined = new Map<string, Writable<T>>();
  for (const list of lists) {
    for (const one of list) {
      const name = nameOne(one);
      const known = joined.get(name);
      if (known) add(known, one);
      else joined.set(name, { ...one });
    }
  }
  return [...joined.values()];
}

/* Keys that were left behind, by what kept them: a few lines, whatever their number. */

const keptExamples = 3;
/** Messages with a part of their own for each key must not fill memory: what is beyond is counted by class. */
const mostCauses = 50;

export interface Causes {
  add(failure: KeyFailure): void;
  /** The most frequent first. */
  all(): FailureCause[];
}

interface Counted extends FailureCause {
  count: number;
  readonly examples: Buffer[];
}

/** @param from the source whose keys they are. */
export function createCauses(from: string): Causes {
  const causes = new Map<string, Counted>();
  return {
    add({ class: why, message, key }) {
      const own = nameOf(why, message);
      const isRoom = causes.has(own) || causes.size < mostCauses;
      const name = isRoom ? own : why;
      let cause = causes.get(name);
      if (!cause) {
        const words = isRoom ? message : 'other reasons';
        cause = { from, class: why, message: words, count: 0, examples: [] };
        causes.set(name, cause);
      }
      cause.count++;
      if (cause.examples.length < keptExamples) cause.examples.push(key);
    },
    all: () => sorted([...causes.values()].map((cause) => ({ ...cause }))),
  };
}

/** Those of several sources, or of several attempts at one, as one list. */
export function joinCauses(all: readonly FailureCause[]): FailureCause[] {
  const joined = joinBy(
    [all],
    (cause) => `${cause.from} ${nameOf(cause.class, cause.message)}`,
    (known, cause) => {
      known.count += cause.count;
      known.examples = [...known.examples, ...cause.examples].slice(0, keptExamples);
    },
  );
  return sorted(joined);
}

/** How often a key was tried, and how an element is called, makes no other cause. */
function nameOf(why: string, message: string): string {
  return `${why} ${message.replace(/after \d+ tries/, 'after tries').replace(/"(?:[^"\\]|\\.)*"/g, '"…"')}`;
}

function sorted(causes: FailureCause[]): FailureCause[] {
  return causes.sort((one, other) => other.count - one.count);
}
