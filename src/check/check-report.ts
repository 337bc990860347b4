/** What a check ended with: for scripts as JSON, for people as text. The names are public. */
import colours from 'picocolors';
import type { Colors } from 'picocolors/types.js';
import { compareNames, formatBytes, formatCount, quoteKey } from '../format.js';
import { reportedKey, type ReportedKey } from '../report.js';
import type { FixedKeys } from './fix-keys.js';
import { mere, type Problem, type ProblemKind, problemsOf } from './problems.js';
import { slotCount } from '../redis/frames.js';
import { claimsOf, slotsWhere, type Survey, type SurveyedNode } from './survey.js';

const plain = colours.createColors(false);

export interface CheckReport {
  readonly status: 'sound' | 'unsound';
  readonly to: string;
  /** In the order of their addresses. */
  readonly nodes: readonly CheckedNode[];
  /** Slots that no master owns of those that answered. */
  readonly ownerless: {
    readonly count: number;
    /** `0-99, 500`, the first ten ranges. */
    readonly slots: string;
  };
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

/** What is null could not be asked. */
interface CheckedNode {
  readonly address: string;
  readonly role: 'master' | 'replica' | 'unknown';
  readonly slots: number;
  readonly replicas: number;
  /** Keys in slots that are not its own. */
  readonly strayKeys: number;
  /** `Redis 7.0.15` */
  readonly product: string | null;
  readonly keys: number | null;
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number | null } | null;
  /** The master's address, of a replica. */
  readonly master: string | null;
  /** How many bytes of its master's changes a replica lacks, about; null: it is a master. */
  readonly lagBytes: number | null;
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
    nodes: nodes
      .map((node) => checkedNode(node, { nodes, lines }))
      .sort((one, other) => compareNames(one.address, other.address)),
    ownerless: ownerlessOf(nodes),
    problems,
    ...(fix && { fixed: fixedPart(fix) }),
    version,
  };
}

function checkedNode(
  { id, address, own, strays, product, keys, memory, streamOffset }: SurveyedNode,
  { nodes, lines }: Pick<Survey, 'nodes' | 'lines'>,
): CheckedNode {
  const master = nodes.find((node) => node.id === own?.masterId);
  const sent = master?.streamOffset;
  const knowsLag = sent !== undefined && streamOffset !== undefined;
  return {
    address,
    role: own === undefined ? 'unknown' : own.masterId === undefined ? 'master' : 'replica',
    slots: (own?.slots ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0),
    replicas: lines.filter(({ masterId }) => masterId === id).length,
    strayKeys: strays.reduce((sum, stray) => sum + stray.keys, 0),
    product: product ?? null,
    keys: keys ?? null,
    memory: memory ?? null,
    master: master?.address ?? null,
    lagBytes: knowsLag ? Math.max(0, sent - streamOffset) : null,
  };
}

/** By each master's own account: what others say of a node that is down is that it owns them still. */
function ownerlessOf(nodes: readonly SurveyedNode[]): CheckReport['ownerless'] {
  const claims = claimsOf(nodes.flatMap(({ own }) => (own ? [own] : [])));
  const { count, text } = slotsWhere((slot) => claims[slot]?.length === 0);
  return { count, slots: text };
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

export function summarizeCheck(report: CheckReport, palette: Colors = plain): string {
  const { status, to, nodes, problems, fixed } = report;
  const { green, yellow, red } = palette;
  const isSound = status === 'sound';
  const masters = nodes.filter(({ role }) => role === 'master').length;
  const keys = nodes.reduce((sum, one) => sum + (one.role === 'master' ? (one.keys ?? 0) : 0), 0);
  const told = oneLineEach(problems).map(({ kind, message }) => {
    const isMere = mere.has(kind);
    return (isMere ? yellow : red)(`  ${isMere ? '!' : '✗'} ${kind.padEnd(16)}  ${message}`);
  });
  return [
    (isSound ? green : red)(
      `${isSound ? '✓ Sound' : '✗ Unsound'}: the cluster of ${to}, ${counted(masters, 'master')}, ${counted(keys, 'key')}`,
    ),
    ownersLine(report, palette),
    '',
    ...nodeLines(report, palette),
    ...(told.length > 0 ? ['', ...told] : []),
    ...(fixed ? ['', ...fixedLines(fixed)] : []),
    '',
  ].join('\n');
}

function ownersLine({ ownerless, problems }: CheckReport, { green, red }: Colors): string {
  const owned = `${formatCount(slotCount - ownerless.count)} of ${formatCount(slotCount)} slots have`;
  if (ownerless.count > 0) {
    return red(`✗ ${owned} an owner that answers: none has ${ownerless.slots}`);
  }
  const isCertain = !problems.some(
    ({ kind }) => kind === 'slots-uncovered' || kind === 'slots-disputed',
  );
  return isCertain ? green(`✓ ${owned} one owner each`) : red(`✗ ${owned} an owner`);
}

/** What several nodes say or lack is one line for people. */
function oneLineEach(problems: readonly Problem[]): readonly Pick<Problem, 'kind' | 'message'>[] {
  const nodesOf = (kind: ProblemKind): readonly string[] =>
    problems.flatMap((problem) =>
      problem.kind === kind && problem.node !== undefined ? [problem.node] : [],
    );
  const without = nodesOf('no-replicas');
  const down = nodesOf('state');
  const isJoined = (kind: ProblemKind): boolean =>
    (kind === 'no-replicas' && without.length > 1) || (kind === 'state' && down.length > 1);
  return [
    ...problems.filter(({ kind }) => !isJoined(kind)),
    ...(down.length > 1
      ? [
          {
            kind: 'state' as const,
            message: `The cluster is not "ok", say ${down.join(', ')}.`,
          },
        ]
      : []),
    ...(without.length > 1
      ? [
          {
            kind: 'no-replicas' as const,
            message: `${counted(without.length, 'master')} have no replica: if one is lost, so are its keys.`,
          },
        ]
      : []),
  ];
}

/** Each master, and its replicas below it. */
function nodeLines({ nodes, problems }: CheckReport, { green, yellow, red }: Colors): string[] {
  const masters = nodes.filter(({ role }) => role !== 'replica');
  const ordered = masters.flatMap((one) => [
    one,
    ...nodes.filter(({ role, master }) => role === 'replica' && master === one.address),
  ]);
  const all = [...ordered, ...nodes.filter((one) => !ordered.includes(one))];
  const rows = all.map((node) => [
    node.address,
    node.role,
    node.role === 'master' ? counted(node.slots, 'slot') : '',
    node.role === 'master' ? counted(node.replicas, 'replica') : lagWords(node),
    node.keys === null ? '' : counted(node.keys, 'key'),
    memoryWords(node.memory),
    node.product ?? '',
  ]);
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => row[at]?.length ?? 0)),
  );
  return all.map((node, at) => {
    const cells = (rows[at] ?? []).map((text, column) => text.padEnd(widths[column] ?? 0));
    const own = problems.filter((problem) => problem.node === node.address);
    const isBad = node.role === 'unknown' || own.some(({ kind }) => !mere.has(kind));
    const isFull = isNearlyFull(node.memory);
    const [mark, paint] = isBad
      ? ['✗', red]
      : own.length > 0 || isFull
        ? ['!', yellow]
        : ['✓', green];
    return `  ${paint(mark)} ${cells.join('  ').trimEnd()}`;
  });
}

function lagWords({ lagBytes }: CheckedNode): string {
  if (lagBytes === null) return '';
  return lagBytes === 0 ? 'up to date' : `${formatBytes(lagBytes)} behind`;
}

function memoryWords(memory: CheckedNode['memory']): string {
  if (memory === null) return '';
  const limit = memory.limitBytes === null ? '' : ` of ${formatBytes(memory.limitBytes)}`;
  return `${formatBytes(memory.usedBytes)}${limit}`;
}

/** Little is left until keys are evicted or refused. */
function isNearlyFull(memory: CheckedNode['memory']): boolean {
  if (memory === null || memory.limitBytes === null) return false;
  return memory.usedBytes > memory.limitBytes * 0.9;
}

function counted(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? '' : 's'}`;
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
