/** Counts what verifying has found so far, and keeps the first of it. */
import {
  type Difference,
  type DifferenceKind,
  differenceKinds,
  repairable,
  type ReportedDifference,
  reportedDifference,
} from './difference.js';

const listedAtMost = 100;

export interface Findings {
  /** Keys of the sources that were looked at. */
  readonly compared: number;
  /** Of those, the ones that the source had no more when they were looked at. */
  readonly gone: number;
  /** Keys of the cluster that were looked for at the sources. */
  readonly lookedBack: number;
  readonly counts: Readonly<Record<DifferenceKind, number>>;
  readonly differences: number;
  /** The first hundred. */
  readonly listed: readonly ReportedDifference[];
  /** What was mended counts as a difference no more. */
  readonly repaired: number;
  addCompared(keys: number): void;
  addGone(): void;
  addLookedBack(keys: number): void;
  add(difference: Difference): void;
  addRepaired(keys: number): void;
}

/**
 * @param onDifference is told of each.
 * @param earlier what was found before a repair: all but what that may have mended still holds.
 */
export function createFindings(
  onDifference: (difference: Difference) => void,
  earlier?: Findings,
): Findings {
  const stays = (kind: DifferenceKind): boolean => !repairable.has(kind);
  const listed = [...(earlier?.listed ?? [])].filter(({ kind }) => stays(kind));
  const counts = Object.fromEntries(
    differenceKinds.map((kind) => [kind, stays(kind) ? (earlier?.counts[kind] ?? 0) : 0]),
  ) as Record<DifferenceKind, number>;
  let { compared, gone, lookedBack } = earlier ?? { compared: 0, gone: 0, lookedBack: 0 };
  let repaired = 0;

  return {
    get compared() {
      return compared;
    },
    get gone() {
      return gone;
    },
    get lookedBack() {
      return lookedBack;
    },
    get repaired() {
      return repaired;
    },
    counts,
    get differences() {
      return differenceKinds.reduce((sum, kind) => sum + counts[kind], 0);
    },
    listed,
    addCompared(keys) {
      compared += keys;
    },
    addGone() {
      gone++;
    },
    addLookedBack(keys) {
      lookedBack += keys;
    },
    addRepaired(keys) {
      repaired += keys;
    },
    add(difference) {
      counts[difference.kind]++;
      if (listed.length < listedAtMost) listed.push(reportedDifference(difference));
      onDifference(difference);
    },
  };
}
