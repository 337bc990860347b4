/** What a check ended with: for scripts as JSON, for people as text. The names are public. */
import { formatCount } from '../format.js';
import { quoteKey } from '../quote.js';
import { reportedKey, type ReportedKey } from '../report.js';
import type { FixedKeys } from './fix-keys.js';
import { mere, type Problem, problemsOf } from './problems.js';
import type { Survey } from './survey.js';

export interface CheckReport {
  readonly status: 'sound' | 'unsound';
  readonly to: string;
  readonly nodes: readonly {
    readonly address: string;
    readonly role: 'master' | 'replica' | 'unknown';
    readonly slots: number;
    readonly replicas: number;
    /** Keys in slots that are not its own. */
    readonly strayKeys: number;
  }[];
  readonly problems: readonly Problem[];
  /** What `--fix-keys` did; only when it was asked for. */
  readonly fixed?: {
    readonly moved: number;
    readonly deleted: number;
    readonly conflict?: ReportedKey & {
      readonly message: string;
      readonly slot: number;
      /** The node that should not have it. */
      readonly node: string;
    };
    /** Why it did not, or stopped. */
    readonly error?: string;
  };
  readonly version: string;
}

export interface Fix {
  readonly keys: FixedKeys;
  readonly error?: string | undefined;
}

export function buildCheckReport(
  { seed, nodes, lines, ...rest }: Survey,
  fix: Fix | undefined,
  version: string,
): CheckReport {
  const problems = problemsOf({ seed, nodes, lines, ...rest });
  return {
    status: problems.every(({ kind }) => mere.has(kind)) ? 'sound' : 'unsound',
    to: seed,
    nodes: nodes.map(({ id, address, own, strays }) => ({
      address,
      role: own === undefined ? 'unknown' : own.masterId === undefined ? 'master' : 'replica',
      slots: (own?.slots ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0),
      replicas: lines.filter(({ masterId }) => masterId === id).length,
      strayKeys: strays.reduce((sum, { keys }) => sum + keys, 0),
    })),
    problems,
    ...(fix && { fixed: fixedPart(fix) }),
    version,
  };
}

function fixedPart({ keys, error }: Fix): NonNullable<CheckReport['fixed']> {
  const { moved, deleted, conflict } = keys;
  return {
    moved,
    deleted,
    ...(conflict && { conflict: { ...conflict, ...reportedKey(conflict.key) } }),
    ...(error !== undefined && { error }),
  };
}

export function summarizeCheck({ status, to, nodes, problems, fixed }: CheckReport): string {
  const width = Math.max(0, ...nodes.map(({ address }) => address.length));
  const table = nodes.map(({ address, role, slots, replicas }) =>
    `  ${address.padEnd(width)}  ${role.padEnd(7)}  ${
      role === 'master'
        ? `${formatCount(slots)} ${slots === 1 ? 'slot' : 'slots'}, ${formatCount(replicas)} ${replicas === 1 ? 'replica' : 'replicas'}`
        : ''
    }`.trimEnd(),
  );
  const told = problems.map(({ kind, message }) => `  ${kind.padEnd(16)}  ${message}`);
  return [
    `${status === 'sound' ? 'Sound' : 'Unsound'}: the cluster of ${to}`,
    '',
    ...table,
    ...(told.length > 0 ? ['', ...told] : []),
    ...(fixed ? ['', ...fixedLines(fixed)] : []),
    '',
  ].join('\n');
}

function fixedLines({ moved, deleted, conflict, error }: NonNullable<CheckReport['fixed']>) {
  const lines = [
    `  ${formatCount(moved)} stray ${moved === 1 ? 'key' : 'keys'} moved to the owners of their slots; of ${formatCount(deleted)} more the owner had the same already.`,
  ];
  if (conflict) {
    lines.push(
      `  Stopped at ${quoteKey(conflict, 200)}: ${conflict.message}.`,
      '  Delete one of the two (docs/moving.md says how), and run the same command again.',
    );
  }
  if (error !== undefined) lines.push(`  Stopped: ${error}`);
  return lines;
}
