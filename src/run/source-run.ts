/** The import of one source: what those see of it who watch it, wherever it runs, and what it can do. */
import type { ScanPosition, Tally, TallySnapshot } from '../types.js';
import type { MoverInUse } from '../watch/sampler.js';
import type { Census } from '../movers/counting.js';
import type { SourceFacts } from '../plan/source-facts.js';
import type { Checkpoint } from '../engine/pipeline.js';

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

/*
 * Remembers, for a run that copies, how far it has come for good: a later one may go on from there.
 * (One that moves has no need of that: what has been moved is not at the source any more.)
 */

const everyMs = 5000;
/** When it was not to be had, some time passes: each try lets the flow run dry. */
const pauseMs = 30_000;

/** Where a scan stood when every key before that was where it should be. */
export interface Settled {
  readonly position: ScanPosition;
  /** What this run had counted by then; undefined: an earlier run came so far. */
  readonly tally: TallySnapshot | undefined;
}

export interface Checkpoints extends Checkpoint {
  readonly last: Settled | undefined;
}

/**
 * @param position where the scan is now.
 * @param counted what has been counted so far.
 * @param startedAt where it began, if an earlier run had come so far.
 */
export function createCheckpoints(
  position: () => ScanPosition | undefined,
  counted: () => TallySnapshot,
  startedAt?: ScanPosition,
): Checkpoints {
  let last: Settled | undefined = startedAt && { position: startedAt, tally: undefined };
  let dueAtMs = performance.now() + everyMs;
  return {
    get last() {
      return last;
    },
    isDue: () => performance.now() >= dueAtMs,
    reached(isReached) {
      if (isReached) last = settledAt(position(), counted());
      dueAtMs = performance.now() + (isReached ? everyMs : pauseMs);
    },
  };
}

/** Where the scan has no position, nothing can be gone on with. */
function settledAt(position: ScanPosition | undefined, tally: TallySnapshot): Settled | undefined {
  return position && { position, tally };
}
