/** What an assessment found: for scripts as JSON, for people as text. The names are public. */
import type { MoverChoice, Product } from '../types.js';
import type { ClientGroup, Watched } from './monitor.js';
import type { DataFacts } from './data.js';
import type { Pattern, Patterns } from './patterns.js';
import type { CommandCount } from './stats.js';

/** 1: no command has several keys. 2: they have, always of one slot. 3: of several: that must change first. */
export type Case = 1 | 2 | 3;

export interface Finding {
  /** Nothing can move before it is dealt with. */
  readonly blocking: boolean;
  /** It may be blocking: too little was seen to say. */
  readonly open?: true;
  /** One sentence. */
  readonly message: string;
}

export interface TargetNode {
  readonly address: string;
  readonly product: Product;
  readonly version: string;
  /** Keys that it holds already. */
  readonly keys: number;
  /** Share of the sample that would go there; of the slots, where nothing was sampled. */
  readonly share: number;
  /** What that may come to, of all databases. */
  readonly expectedBytes: number;
  /** Up to its maxmemory; undefined: it has none. */
  readonly freeBytes?: number;
  readonly evictionPolicy: string;
}

export interface WatchReport extends Watched {
  /** Those of scripts not counted. */
  readonly commands: number;
  readonly patterns: readonly Pattern[];
  /** Units that found no place among the patterns. */
  readonly leftOut: Patterns['leftOut'];
  /** The databases that were used, and the clients that used them. */
  readonly databases: readonly { readonly db: number; readonly clients: readonly ClientGroup[] }[];
  /** Commands that were too long to be read to their end, and may have keys there. */
  readonly cut: readonly { readonly command: string; readonly count: number }[];
}

/** How an import would go. */
export interface Plan {
  /** `auto`: relay and migrate both can, and a run takes the faster one. */
  readonly mover: MoverChoice;
  readonly reason: string;
  /**
   * Which way values would take, most keys first: whole (strings as themselves, others as payloads), as payloads
   * under another version, element by element, or none. Undefined: nothing was sampled.
   */
  readonly ways?: readonly {
    readonly way: 'whole' | 'rewritten' | 'elements' | 'stays';
    /** As TYPE names it. */
    readonly type: string;
    /** About so many, by the sample. */
    readonly keys: number;
    /** Why they stay. */
    readonly why?: string;
  }[];
  /** From reading values of the sample; undefined: there was nothing to read. */
  readonly estimate?: Estimate;
}

export interface Estimate {
  /** Three times what reading all values would take at the measured rate. */
  readonly durationMs: number;
  /** What was measured: so many values were read, in so much time. */
  readonly values: number;
  readonly bytes: number;
  readonly measuredMs: number;
}

export interface AssessReport {
  /** Undecided: what was seen is not enough; the findings say of what. */
  readonly status: 'can-move' | 'cannot-move' | 'undecided';
  readonly case?: Case;
  readonly from: string;
  readonly to?: string;
  /** When it was begun, as ISO 8601. */
  readonly takenAt: string;
  readonly source: { readonly product: Product; readonly version: string };
  /** Since the server's start. */
  readonly commandStats: readonly CommandCount[];
  /** An import has worked at the source since then: some of what was counted may be its own. */
  readonly importedFrom?: true;
  readonly watch?: WatchReport;
  readonly data: DataFacts;
  readonly nodes?: readonly TargetNode[];
  readonly plan?: Plan;
  readonly findings: readonly Finding[];
  readonly version: string;
}

export type Known = Omit<AssessReport, 'status' | 'case' | 'findings'>;
