/** What verifying can find of a key: how it is shown, counted, and written to a file. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { messageOf, UsageError } from '../errors.js';
import { quoteKey } from '../format.js';
import { reportedKey, type ReportedKey } from '../report.js';

export type DifferenceKind =
  | 'missing' // at the source, not in the cluster
  | 'extra' // in the cluster, at no source
  | 'type'
  | 'value'
  | 'ttl'
  | 'misplaced'; // on a node that does not own its slot

export const differenceKinds = [
  'missing',
  'extra',
  'type',
  'value',
  'ttl',
  'misplaced',
] as const satisfies readonly DifferenceKind[];

/** What copying the key once more mends. */
export const repairable: ReadonlySet<DifferenceKind> = new Set(['missing', 'type', 'value', 'ttl']);

export interface Difference {
  readonly key: Buffer;
  readonly kind: DifferenceKind;
  /** One clause, without any value: `field "name" differs`. */
  readonly message: string;
  /** Which source's key it is, as an index; undefined: no source's. */
  readonly source?: number;
}

export interface ReportedDifference extends ReportedKey {
  readonly kind: DifferenceKind;
  readonly message: string;
}

export function reportedDifference({ key, kind, message }: Difference): ReportedDifference {
  return { ...reportedKey(key), kind, message };
}

const shownKeyLength = 200;

/** `value      "user:42"  field "name" differs` */
export function differenceLine(difference: ReportedDifference): string {
  const { kind, message } = difference;
  return `${kind.padEnd(9)}  ${quoteKey(difference, shownKeyLength)}  ${message}`;
}

/** Differences that are shown, and kept for the report: the file of all of them is for more. */
export const listedAtMost = 100;

/** Counts what verifying has found so far, and keeps the first of it. */
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
 * @param onDifference is called with each.
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

const heldLength = 64 * 1024;

export interface DifferenceFile {
  /** @param db the source's database. */
  add(difference: Difference, db: number): void;
  flush(): void;
  close(): void;
}

/**
 * Writes differences to a file, one JSON object a line, in the form that `--only-keys` takes. At once
 * and synchronously, so that nothing waits in memory however much differs.
 * @throws UsageError when the file can't be written.
 */
export function differenceFile(path: string): DifferenceFile {
  let file: number;
  let text = '';
  try {
    file = openSync(path, 'w');
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`--differences can't be written (${words}): choose another file.`, {
      cause: error,
    });
  }

  function flush(): void {
    const bytes = Buffer.from(text);
    text = '';
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
  }

  return {
    add(difference, db) {
      const { key, keyEncoding, kind, message } = reportedDifference(difference);
      text += `${JSON.stringify({ key, keyEncoding, db, kind, message })}\n`;
      if (text.length >= heldLength) flush();
    },
    flush,
    close() {
      flush();
      closeSync(file);
    },
  };
}
