/** The import of one source: what those see of it who watch it, wherever it runs, and what it can do. */
import type { Tally } from '../types.js';
import type { MoverInUse } from '../watch/sampler.js';
import type { Census } from '../movers/counting.js';
import type { SourceFacts } from '../plan/source-facts.js';
import type { Settled } from './checkpoints.js';

/** The import of one source, as others see it. */
export interface SourceView {
  readonly source: SourceFacts;
  readonly tally: Tally;
  readonly mover: MoverInUse;
  /** How far its scan has come for good; undefined: it can't be gone on with there. */
  readonly settled: Settled | undefined;
  /** What `--dry-run` has counted. */
  readonly census: Census;
}

/** The import of one source in this process. */
export interface SourceRun extends SourceView {
  /** Runs until the source is done, or the signal. */
  run(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** How the import of one source came to its end: why it had to stop midway, if it had to. */
export interface SourceEnd {
  readonly run: SourceView;
  readonly error: string | undefined;
  /** It would stop there each time. */
  readonly isFinal?: boolean;
  /** It is no file that can be read, which of a pipe shows only when its first bytes come. */
  readonly isUnknown?: boolean;
}
