/**
 * The library's way to run an import: a handle on it, events and snapshots, all of them plain JSON.
 *
 * What a program does not ask for does not happen: no journal, no control socket, no thread. The
 * command line asks for them (`cli/import-verb.ts`).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { UsageError, errorOf } from '../errors.js';
import type { Standing } from '../watch/live.js';
import { type GivenOptions, readOptions } from '../options/options.js';
import type { Report, ReportedFailure } from '../report.js';
import { type ImportLimits, type Orders, readLimits } from '../watch/run-sockets.js';
import { type ImportContext, runImport, type StartedRun } from './import.js';

/** What a timer can wait. */
const longestDelayMs = 2 ** 31 - 1;

/** What is heard of a run, by the name of the event. */
export interface ImportEvents {
  /** The checks are passed, and keys are about to move. */
  readonly start: Standing;
  /** A sentence of the report's `warnings`. */
  readonly warning: { readonly message: string };
  /** A key is left behind. */
  readonly failure: ReportedFailure;
  /** The run is over, however it ended: this is its report. */
  readonly end: Report;
  /** There is no report: `report` rejects with this. */
  readonly error: Error;
}

/** An import that has been started. */
export interface ImportRun {
  /**
   * How it ended. A run that had to stop midway resolves too, with the status `failed`. Rejects with
   * UsageError or PreflightError when the run could not start, and with StoppedError when it was
   * stopped before that: nothing was moved then.
   */
  readonly report: Promise<Report>;
  /**
   * How the run stands: from its start on, every so many milliseconds, and once more at its end.
   * Throws what `report` rejects with.
   */
  progress(everyMs?: number): AsyncIterable<Standing>;
  /**
   * Listens. Listeners that are added in the turn of the event loop that started the run miss nothing.
   * What a listener throws is an uncaught exception, and does not touch the run.
   * @returns a function that ends the listening.
   */
  on<Name extends keyof ImportEvents>(
    event: Name,
    listener: (what: ImportEvents[Name]) => void,
  ): () => void;
  /** Takes no more keys once the batches in flight are done. Before the start, holds the run there. */
  pause(): void;
  resume(): void;
  /** @throws UsageError when a limit has no meaning, or the sources are files, which have no clients. */
  limit(limits: ImportLimits): void;
  /**
   * With `follow`: holds writes at the source, copies what is left, runs `onCutover`, and ends the run. Before
   * the start it waits for that. Resolves when the cluster has taken over.
   * @throws ImportError in one sentence when that failed, or the run does not follow closely yet: writes go on
   *   at the source. UsageError when it follows nothing, or has ended.
   */
  cutOver(): Promise<void>;
  /** Lets writes go on that a cutover holds: its `cutOver` rejects, and following goes on. */
  release(): Promise<void>;
  /** Finishes the batches in flight and ends; the report says what is left. */
  stop(): void;
}

/** Starts an import. What is wrong with the options is not thrown here: `report` rejects with it. */
export function startImport(options: GivenOptions, context: ImportContext = {}): ImportRun {
  const stopping = new AbortController();
  const over = new AbortController();
  const events = createEvents();
  let started: StartedRun | undefined;
  let isHeld = false;
  let limitsAtStart: Orders = {};
  const signals = [stopping.signal, ...(context.signal ? [context.signal] : [])];
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));

  async function run(): Promise<Report> {
    // Nothing is said before anybody can listen.
    await Promise.resolve();
    try {
      return await runImport(readOptions(options), {
        signal: AbortSignal.any(signals),
        logger: context.logger,
        stderr: context.stderr,
        onWarning(message) {
          events.emit('warning', { message });
        },
        onFailure(failure) {
          events.emit('failure', failure);
        },
        onStart(run) {
          run.steering.obey(limitsAtStart);
          started = run;
          if (isHeld) run.steering.pause();
          events.emit('start', run.now());
          begin();
        },
        onReport(report) {
          over.abort();
          events.emit('end', report);
        },
      });
    } catch (error) {
      over.abort();
      events.emit('error', errorOf(error));
      throw error;
    } finally {
      begin();
    }
  }

  const report = run();
  // Who follows progress or events may come to it late, and that must not end their process.
  report.catch(() => undefined);

  async function* snapshots(everyMs: number): AsyncGenerator<Standing> {
    await begun;
    while (started && !over.signal.aborted) {
      yield started.now();
      await delay(everyMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
    // Throws where there is none.
    await report;
    if (started) yield started.now();
  }

  async function running(): Promise<StartedRun> {
    await begun;
    // Where it never began, that says why.
    if (!started) await report;
    if (started && !over.signal.aborted) return started;
    throw new UsageError('The run has ended: there is nothing left to cut over.');
  }

  return {
    report,
    progress(everyMs = 1000) {
      if (everyMs >= 1 && everyMs <= longestDelayMs) return snapshots(everyMs);
      throw new UsageError(`progress() takes milliseconds from 1 to ${String(longestDelayMs)}.`);
    },
    on: (event, listener) => events.on(event, listener),
    pause() {
      isHeld = true;
      started?.steering.pause();
    },
    resume() {
      isHeld = false;
      started?.steering.resume();
    },
    limit(limits) {
      const orders = readLimits(limits);
      if (over.signal.aborted) return;
      if (started) started.steering.obey(orders);
      else limitsAtStart = { ...limitsAtStart, ...orders };
    },
    cutOver: async () => (await running()).cutOver(),
    release: async () => (await running()).letWrite('it was released'),
    stop() {
      stopping.abort();
    },
  };
}

/**
 * Moves the keys: the `report` of `startImport`.
 * @throws UsageError or PreflightError when the run could not start, StoppedError when the signal came
 *   before that; nothing was moved then.
 */
export async function importKeys(
  options: GivenOptions,
  context: ImportContext = {},
): Promise<Report> {
  return startImport(options, context).report;
}

type Listeners = { [Name in keyof ImportEvents]: Set<(what: ImportEvents[Name]) => void> };

function createEvents() {
  const listeners: Listeners = {
    start: new Set(),
    warning: new Set(),
    failure: new Set(),
    end: new Set(),
    error: new Set(),
  };
  return {
    on<Name extends keyof ImportEvents>(
      event: Name,
      listener: (what: ImportEvents[Name]) => void,
    ): () => void {
      // Its own function, because the same listener may be given twice.
      const heard = (what: ImportEvents[Name]): void => {
        listener(what);
      };
      listeners[event].add(heard);
      return () => void listeners[event].delete(heard);
    },
    emit<Name extends keyof ImportEvents>(event: Name, what: ImportEvents[Name]): void {
      for (const listener of listeners[event]) {
        try {
          listener(what);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
