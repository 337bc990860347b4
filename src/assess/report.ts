/** What an assessment found: for scripts as JSON, for people as text. The names are public. */
import type { DataFacts } from './data.js';
import { type CommandCount, decisive } from './stats.js';
import type { Watched } from './watch.js';
import type { Pattern } from './workload.js';

/** 1: no command has several keys. 2: they have, always of one slot. 3: of several: that must change first. */
export type Case = 1 | 2 | 3;

export interface Finding {
  /** Nothing can move before it is dealt with. */
  readonly blocking: boolean;
  /** One sentence. */
  readonly message: string;
}

export interface TargetNode {
  readonly address: string;
  readonly version: string;
  /** Share of the sample that would go there. */
  readonly share: number;
  /** What that may come to. */
  readonly expectedBytes: number;
  /** Up to its maxmemory; undefined: it has none. */
  readonly freeBytes?: number;
  readonly evictionPolicy: string;
}

export interface AssessReport {
  /** Undecided: commands with several keys were used, and were not watched. */
  readonly status: 'can-move' | 'cannot-move' | 'undecided';
  readonly case?: Case;
  readonly from: string;
  readonly to?: string;
  readonly source: { readonly version: string };
  /** Since the server's start. */
  readonly commandStats: readonly CommandCount[];
  readonly watch?: Watched & { readonly commands: number; readonly patterns: readonly Pattern[] };
  readonly data: Omit<DataFacts, 'slots'>;
  readonly nodes?: readonly TargetNode[];
  readonly findings: readonly Finding[];
  readonly version: string;
}

export type Known = Omit<AssessReport, 'status' | 'case' | 'findings'>;

export function buildAssessReport(known: Known): AssessReport {
  const found = caseOf(known);
  const findings = findingsOf(known, found);
  const cannot = findings.some(({ blocking }) => blocking);
  const status = cannot ? 'cannot-move' : found === undefined ? 'undecided' : 'can-move';
  return { status, ...(found !== undefined && { case: found }), ...known, findings };
}

function caseOf({ watch, commandStats }: Known): Case | undefined {
  if (watch?.patterns.some(({ trouble }) => trouble !== undefined)) return 3;
  if (watch && watch.commands > 0) return watch.patterns.length > 0 ? 2 : 1;
  return commandStats.some(({ concern }) => decisive.has(concern)) ? undefined : 1;
}

function findingsOf(known: Known, found: Case | undefined): Finding[] {
  const { data, commandStats, watch, nodes = [] } = known;
  const findings: Finding[] = [];
  const add = (blocking: boolean, message: string): void =>
    void findings.push({ blocking, message });
  if (found === 3) {
    const count = watch?.patterns.filter(({ trouble }) => trouble !== undefined).length ?? 0;
    add(
      true,
      `${String(count)} patterns use keys of several slots at one time: a cluster refuses them.`,
    );
  }
  if (found === undefined) {
    const names = commandStats
      .filter(({ concern }) => decisive.has(concern))
      .map(({ command }) => command);
    add(
      false,
      `Commands that may have several keys were used (${names.join(', ')}): say --watch 60s to see with which keys.`,
    );
  }
  if (data.databases.length > 1) {
    add(
      false,
      `${String(data.databases.length)} databases are in use; a cluster has one: their keys come together, under prefixes if need be.`,
    );
  }
  if (data.collisions.length > 0) {
    add(
      true,
      'The same names are in several databases: in a cluster each would be one key; give prefixes (--key-prefix).',
    );
  }
  const perNode = commandStats
    .filter(({ concern }) => concern === 'per-node')
    .map(({ command }) => command);
  if (perNode.length > 0) {
    add(
      false,
      `${perNode.join(', ')} answer for one node only: the application has to ask every master.`,
    );
  }
  for (const { slot, share, shape } of data.loadedSlots) {
    add(
      false,
      `Slot ${String(slot)} holds ${percent(share)} of the keys (such as ${shape}): its node will carry them all.`,
    );
  }
  for (const node of nodes) {
    if (node.freeBytes !== undefined && node.expectedBytes > node.freeBytes) {
      add(
        true,
        `${node.address} has too little memory below its maxmemory for what would come to it.`,
      );
    }
    if (node.freeBytes !== undefined && node.evictionPolicy !== 'noeviction') {
      add(false, `${node.address} evicts keys when it is full (${node.evictionPolicy}).`);
    }
  }
  if (watch?.endedBy === 'latency') {
    add(false, 'Watching was ended early because the source became slow.');
  }
  return findings;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
