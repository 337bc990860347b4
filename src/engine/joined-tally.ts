/** The tallies of several sources as one: what people look at when a run has more than one. */
import type { KeyFailure, NodeTally, Tally, TallySnapshot } from '../types.js';
import { latestOf } from './latest.js';

const keptFailures = 100;

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

function joinSnapshots(parts: readonly TallySnapshot[]): Omit<TallySnapshot, 'latestFailures'> {
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
    nodes: joinNodes(parts.flatMap((part) => part.nodes)),
    failures: parts.flatMap((part) => part.failures).slice(0, keptFailures),
    progress: sum((part) => part.progress * weight(part)) / sum(weight),
    earlierShare: sum((part) => part.earlierShare * weight(part)) / sum(weight),
    sourceKeysLeft: sum((part) => part.sourceKeysLeft),
  };
}

function joinNodes(nodes: readonly NodeTally[]): NodeTally[] {
  const joined = new Map<string, NodeTally>();
  for (const node of nodes) {
    const known = joined.get(node.address);
    joined.set(
      node.address,
      known
        ? {
            ...node,
            keys: known.keys + node.keys,
            bytes: known.bytes + node.bytes,
            inflightKeys: known.inflightKeys + node.inflightKeys,
            retries: known.retries + node.retries,
          }
        : node,
    );
  }
  return [...joined.values()];
}
