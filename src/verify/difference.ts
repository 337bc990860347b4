/** What verifying can find of a key, and how it is told. */
import { quoteKey } from '../quote.js';
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
