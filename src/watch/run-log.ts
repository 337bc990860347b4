/**
 * The run's course as log lines: few, whatever the number of keys. Keys stand in them only at the
 * level debug; everywhere else it is counts and classes.
 */
import type { Report } from '../report.js';
import { reportedFailure } from '../report.js';
import type { FailureClass, KeyFailure, Logger } from '../types.js';
import { standing } from './live.js';
import { progressLine } from './progress.js';
import type { RunFacts, Sampler } from './sampler.js';

const progressEveryMs = 5000;

export interface RunLog {
  failed(failure: KeyFailure): void;
  /** Looks what has changed. */
  look(): void;
  ended(report: Report): void;
}

export interface RunLogOptions {
  /** There is no screen, so the log is where progress can be seen. */
  readonly showsProgress: boolean;
  /** People see a view, which shows what is left behind and why: the log repeats none of it. */
  readonly hasView: boolean;
  /** The log is for people. */
  readonly hasReader: boolean;
}

export function logRun(
  sampler: Sampler,
  logger: Logger,
  { showsProgress, hasView, hasReader }: RunLogOptions,
): RunLog {
  const told = new Set<FailureClass>();
  let mover = moverName(sampler.read().facts);
  let progressAtMs = Date.now();

  return {
    failed(failure) {
      const { key, keyEncoding, class: why, message } = reportedFailure(failure);
      logger.debug({ key, keyEncoding, class: why, reason: message }, 'a key is left behind');
      if (hasView || told.has(why)) return;
      told.add(why);
      logger.warn(
        { class: why, reason: message },
        'keys are left behind; the report lists them, and this class is not logged again',
      );
    },
    look() {
      const sample = sampler.read();
      const now = moverName(sample.facts);
      if (now !== mover) {
        mover = now;
        const { name, reason } = sample.facts.mover;
        logger.info({ mover: name, reason }, `the mover is ${name}`);
      }
      if (!showsProgress || sample.atMs - progressAtMs < progressEveryMs) return;
      progressAtMs = sample.atMs;
      const { moved, progress, conflicting, failed } = sample.snapshot;
      logger.info(
        { moved, progress, conflicting, failed, keysPerSecond: sample.speed.keysPerSecond },
        progressLine(standing(sampler, undefined)),
      );
    },
    ended({ status, keys, bytes, durationMs, keysPerSecond, retries, redirects, ...rest }) {
      const { mover: name, moverReason, error } = rest;
      const numbers = { ...keys, bytes, durationMs, keysPerSecond, retries, redirects };
      const fields = { status, ...numbers, mover: name, moverReason };
      // People read the report.
      if (error === undefined || hasReader) logger.info(fields, `the run ended: ${status}`);
      else logger.error({ ...fields, reason: error }, `the run ended: ${status}`);
    },
  };
}

/** Undefined while movers take turns. */
function moverName({ mover }: RunFacts): string | undefined {
  return mover.measuring ? undefined : mover.name;
}
