/** What verifying ended with: for scripts as JSON, for people as text. The names are public. */
import colours from 'picocolors';
import type { Colors } from 'picocolors/types.js';
import { formatCount, formatDuration } from '../format.js';
import {
  type DifferenceKind,
  differenceKinds,
  type Findings,
  repairable,
  type ReportedDifference,
} from './differences.js';

export interface VerifyReport {
  /** Equal: nothing differs, or no more after a repair. */
  readonly status: 'equal' | 'different' | 'interrupted' | 'failed';
  readonly from: readonly string[];
  readonly to: string;
  /** Share of the keys that was looked at, where it was not all. */
  readonly sample?: number;
  /** Types and TTLs only. */
  readonly fast: boolean;
  readonly keys: {
    /** Of the sources. */
    readonly compared: number;
    /** Deleted or expired at the source before they were looked at. */
    readonly gone: number;
    /** Of the cluster, looked for at the sources. */
    readonly lookedBack: number;
    /** Copied again, and equal now. */
    readonly repaired: number;
  } & Readonly<Record<DifferenceKind, number>>;
  readonly durationMs: number;
  readonly keysPerSecond: number;
  /** The first hundred. */
  readonly differences: readonly ReportedDifference[];
  readonly warnings?: readonly string[];
  /** Why it stopped midway. */
  readonly error?: string;
  readonly version: string;
}

export interface VerifyEnd {
  readonly from: readonly string[];
  readonly to: string;
  readonly share: number;
  readonly fast: boolean;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly warnings: readonly string[];
  readonly cut?: 'interrupted' | { readonly error: string } | undefined;
  readonly version: string;
}

export function buildVerifyReport(findings: Findings, end: VerifyEnd): VerifyReport {
  const { from, to, share, fast, warnings, cut, version } = end;
  const { compared, gone, lookedBack, repaired, counts, listed, differences } = findings;
  const durationMs = Math.round(end.endedAtMs - end.startedAtMs);
  const whole = differences === 0 ? 'equal' : 'different';
  return {
    status: cut === undefined ? whole : cut === 'interrupted' ? 'interrupted' : 'failed',
    from,
    to,
    ...(share < 1 && { sample: share }),
    fast,
    keys: { compared, gone, lookedBack, repaired, ...counts },
    durationMs,
    keysPerSecond: Math.round((compared * 1000) / Math.max(1, durationMs)),
    differences: listed,
    ...(warnings.length > 0 && { warnings }),
    ...(typeof cut === 'object' && { error: cut.error }),
    version,
  };
}

const plain = colours.createColors(false);

const headlines = {
  equal: '✓ Equal: nothing differs',
  different: '✗ Different',
  interrupted: '! Interrupted',
  failed: '✗ Stopped midway',
};

const meanings: Readonly<Record<DifferenceKind, string>> = {
  missing: 'at the source, not in the cluster',
  extra: 'in the cluster, at no source',
  type: 'of another type in the cluster',
  value: 'with another value in the cluster',
  ttl: 'with another deadline in the cluster',
  misplaced: 'on a node that does not own their slot',
};

/** @param isRepaired what differs is what a repair has left. */
export function summarizeVerify(
  report: VerifyReport,
  palette: Colors = plain,
  isRepaired = false,
): string {
  const { keys, from, to, sample, fast, status } = report;
  const part = sample === undefined ? '' : `, a sample of ${(sample * 100).toPrecision(3)} %`;
  const rows: [string, number, string][] = [
    [
      'compared',
      keys.compared,
      `keys of ${from.join(', ')}${part}${fast ? ', without values' : ''}`,
    ],
    ['looked up', keys.lookedBack, 'keys of the cluster, at the source'],
    ['gone', keys.gone, 'expired or deleted at the source meanwhile'],
    ['repaired', keys.repaired, 'copied again, and equal now'],
    ...differenceKinds.map((kind): [string, number, string] => [kind, keys[kind], meanings[kind]]),
  ];
  const shown = rows.filter(([, count], at) => at < 2 || count > 0);
  const width = Math.max(...shown.map(([, count]) => formatCount(count).length));
  const lines = shown.map(
    ([word, count, note]) => `  ${word.padEnd(12)} ${formatCount(count).padStart(width)}  ${note}`,
  );
  const rate = keys.compared > 0 ? ` at ${formatCount(report.keysPerSecond)} keys/s` : '';
  const took = `${formatDuration(report.durationMs)}${rate}`;
  const { green, yellow, red } = palette;
  const paint = { equal: green, different: red, interrupted: yellow, failed: red }[status];
  return [
    paint(`${headlines[status]}, ${from.join(', ')} ↔ the cluster of ${to}`),
    ...(report.error === undefined ? [] : [report.error]),
    ...(status === 'different' && isEmptied(keys) ? [emptied] : []),
    '',
    ...lines,
    `  ${'took'.padEnd(12)} ${took}`,
    '',
    ...(status === 'different' && !isEmptied(keys) ? wayOut(keys, isRepaired) : []),
  ].join('\n');
}

const emptied =
  'No source holds a key. After a move that is as it should be: compare with a copy, such as a dump that was made before.';

function isEmptied({ compared, gone, extra }: VerifyReport['keys']): boolean {
  return compared + gone === 0 && extra > 0;
}

/** What to do about differences, a sentence for each way. */
function wayOut(keys: VerifyReport['keys'], isRepaired: boolean): string[] {
  const mends = !isRepaired && [...repairable].some((kind) => keys[kind] > 0);
  const sentences = [
    ...(mends
      ? ['The same command with --repair copies what is missing or differs again, from servers.']
      : []),
    ...(keys.extra > 0
      ? [
          '--repair deletes no extra keys, which may be what a move brought: delete with redis-cli those that nobody needs.',
        ]
      : []),
    ...(keys.misplaced > 0
      ? ["cluster-import check --fix-keys takes misplaced keys to their slots' owners."]
      : []),
  ];
  return sentences.length > 0 ? [...sentences, ''] : [];
}
