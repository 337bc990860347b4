/** What verifying works with: who is compared, and how closely. No runtime code stands here. */
import type { FirstPass } from '../compare/many.js';
import type { Node, Source } from '../types.js';
import type { Cluster } from './cluster.js';
import type { Findings } from './difference-counts.js';
import type { Scope } from './scope.js';
import type { Patience, Server } from './read-server.js';

export interface Listed<Of> {
  readonly of: Of;
  readonly keys: Source;
}

export interface ListedSource extends Listed<Server> {
  readonly scope: Scope;
  readonly firstPass: FirstPass;
}

export interface VerifyParts {
  readonly sources: readonly ListedSource[];
  readonly masters: readonly Listed<Node>[];
  readonly cluster: Cluster;
  readonly expires: boolean;
  readonly toleranceMs: number;
  readonly fast: boolean;
  /** Of the keys, 0 to 1. */
  readonly share: number;
  readonly patience: Patience;
  readonly findings: Findings;
}
