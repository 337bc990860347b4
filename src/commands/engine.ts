/**
 * Puts the engine together for a pair of servers that passed the checks: the source, the mover,
 * the tally and the pipeline between them.
 */
import { ImportError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import type { MoverName, Tally } from '../types.js';
import type { Ready } from './preflight.js';

export interface Engine {
  readonly tally: Tally;
  readonly mover: MoverName;
  /** Why it took this mover. */
  readonly moverReason: string;
  /**
   * Runs to the end of the source, or until the signal; batches in flight are finished.
   * @throws ImportError when the run can't go on.
   */
  run(): Promise<void>;
  close(): void;
}

/** @throws ImportError when its connections can't be opened; nothing was moved then. */
export function openEngine(
  ready: Ready,
  options: ImportOptions,
  signal: AbortSignal,
): Promise<Engine> {
  void [ready, options, signal];
  return Promise.reject(new ImportError('The engine is not wired up yet.'));
}
