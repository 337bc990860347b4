/**
 * Everything that lets people and programs watch a run: the terminal, the log, the metrics and the
 * page. They read one sampler.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, UsageError } from '../errors.js';
import type { Follower } from '../follow/follower.js';
import { createEvents, createHistory } from '../watch/history.js';
import { readPage, serve } from '../watch/http.js';
import { liveState, reportSoFar, type Standing, standing } from '../watch/live.js';
import { createMetrics } from '../watch/metrics.js';
import { showProgress } from '../watch/progress.js';
import { watchNodeLoads } from '../watch/probe.js';
import { logRun } from '../watch/log.js';
import { createSampler } from '../watch/sampler.js';
import { screenOf } from '../watch/screen.js';
import type { JobOptions, PatienceOptions, WatchingOptions } from '../options/options.js';
import type { Extremes, Report } from '../report.js';
import { type ControlSocket, findRuns, listenForOrders } from '../watch/run-sockets.js';
import { sourceWords } from '../watch/words.js';
import { version } from '../installed.js';
import { modeOf } from './ending.js';
import type { SourceRuns } from './source-runs.js';
import { createSteering, type Steering } from './steer.js';
import type { Facts } from '../plan/preflight.js';
import { isServer } from '../plan/source-facts.js';
import type { Logger } from '../types.js';

const lookEveryMs = 1000;

export interface Watched {
  readonly runs: SourceRuns;
  readonly facts: Facts;
  readonly options: WatchingOptions & JobOptions & PatienceOptions;
  readonly reporter: Reporter;
  readonly warnings: readonly string[];
  readonly signal: AbortSignal;
  /** What the keys of the terminal do, for the view; undefined: they do nothing. */
  readonly hint?: string | undefined;
  /** Ends the run after the batches in flight. */
  readonly stop: () => void;
}

export interface Watch {
  readonly steering: Steering;
  /** How the run stands at this moment. */
  now(): Standing;
  /** What was seen of the run so far. */
  readonly extremes: Extremes;
  /** The run has ended: nothing is drawn or asked any more. */
  hush(report: Report): void;
  /** Lets the end be seen: pushes it, and stays up for as long as was asked, or until the signal. */
  linger(): Promise<void>;
  close(): void;
  /** @throws ImportError when the run does not follow its source, or could not cut over. */
  cutOver(): Promise<void>;
  /** Lets writes go on that a cutover holds. @throws UsageError when the run does not follow its source. */
  letWrite(why: string): Promise<void>;
}

/** @throws UsageError when the metrics can't be served where they should be. */
export async function watchRun(watched: Watched): Promise<Watch> {
  const { runs, facts, options, reporter, signal, hint } = watched;
  const from = facts.sources.map(({ name }) => name);
  const steering = createSteering({
    throttle: runs.throttle,
    latency: runs.latency,
    announce: (sentence) => {
      announceNow(reporter, sentence, {});
    },
  });
  const loads =
    options.metrics === undefined
      ? undefined
      : watchNodeLoads(facts.target.topology, options.timeoutMs);
  const sampler = createSampler(runs.tally, {
    from,
    to: facts.target.name,
    mode: modeOf(options),
    version,
    warnings: watched.warnings,
    mover: runs.mover,
    steering: steering.steered,
    follow: () => runs.follow?.status,
    loadOf: loads && ((address) => loads.of(address)),
  });
  const history = createHistory();
  const events = createEvents();
  const screen = reporter.screen && !options.quiet ? screenOf(reporter.screen) : undefined;
  const log = logRun(sampler, reporter.logger, {
    showsProgress: !reporter.screen && !options.quiet,
    hasView: screen?.isTerminal === true,
    hasReader: reporter.screen !== undefined,
  });
  runs.tally.onFailure((failure) => {
    log.failed(failure);
  });
  const metrics =
    options.metrics === undefined && options.push === undefined
      ? undefined
      : createMetrics(runs.tally, sampler);
  let final: Report | undefined;
  const server =
    metrics && options.metrics !== undefined ? await listen(metrics, options.metrics) : undefined;
  const progress = screen && showProgress(() => standing(sampler, final), screen, { hint });
  const { latency } = runs;
  latency.onTold((seconds) => {
    sampler.noteLatency(seconds);
  });
  if (options.measureLatency || metrics) latency.begin();
  if (options.control) await tellOverlaps();
  const ear = options.control ? await takeOrders() : undefined;
  const looking = setInterval(look, lookEveryMs);
  looking.unref();

  function look(): void {
    runs.look();
    loads?.look();
    const sample = sampler.read();
    history.note(sample);
    events.note(sample);
    log.look();
  }

  function lookNoMore(): void {
    clearInterval(looking);
    latency.stop();
    loads?.stop();
    progress?.stop();
  }

  async function listen(shown: NonNullable<typeof metrics>, where: string) {
    const page = await readPage();
    const json = (value: unknown) => ({
      type: 'application/json; charset=utf-8',
      body: `${JSON.stringify(value)}\n`,
    });
    const served = await serve(
      {
        '/': () => page,
        '/metrics': async () => ({ type: shown.contentType, body: await shown.text() }),
        '/report.json': () => json(final ?? reportSoFar(sampler.read())),
        '/live.json': () => json(liveState(sampler, history, events, final)),
        '/healthz': () => ({ type: 'text/plain; charset=utf-8', body: 'ok\n' }),
      },
      where,
    );
    const { url } = served;
    announce(reporter, `Metrics: ${url}/metrics, and a page to watch: ${url}/`, { url });
    return served;
  }

  /** Keys that another run takes from the same source would look like keys that have expired. */
  async function tellOverlaps(): Promise<void> {
    const others = await findRuns().catch(() => []);
    for (const { state } of others) {
      const { report, pid } = state;
      const shared = report.from.filter((name) => from.includes(name));
      const isOver = report.status !== 'running' || report.mode === 'dry-run';
      if (shared.length === 0 || isOver || options.dryRun) continue;
      reporter.logger.warn(
        { pid, from: shared },
        `Another run (pid ${String(pid)}) takes keys from ${shared.join(', ')} too: what it moves counts as gone here. Stop one of them, unless they select different keys.`,
      );
    }
  }

  /** Without it the run goes on all the same. */
  async function takeOrders(): Promise<ControlSocket | undefined> {
    const run = { from: from.join('+'), to: facts.target.name };
    try {
      const opened = await listenForOrders(run, async ({ cutover, release, stop, ...others }) => {
        steering.obey(others);
        if (stop === true) {
          if (final) throw new UsageError('The run has ended: there is nothing left to stop.');
          announceNow(reporter, 'Stopping after the batches in flight (`ctl stop`).', {});
          watched.stop();
        }
        latency.begin();
        if (release === true) await letWrite('`ctl release` has let writes go on');
        else if (cutover === true) await cutOver();
        return { ...standing(sampler, final), pid: process.pid };
      });
      reporter.logger.debug({ socket: opened.path }, 'cluster-import ctl finds the run');
      return opened;
    } catch (error) {
      const reason = messageOf(error);
      reporter.logger.info({ reason }, 'cluster-import ctl will not find the run');
      return undefined;
    }
  }

  async function cutOver(): Promise<void> {
    await follower().cutOver();
  }

  async function letWrite(why: string): Promise<void> {
    await follower().release(why);
  }

  function follower(): Follower {
    const found = runs.follow?.follower;
    if (found) return found;
    throw new UsageError('This run does not follow its source: that is what --follow is for.');
  }

  async function push(url: string): Promise<void> {
    try {
      await metrics?.push(url, from);
    } catch (error) {
      const reason = messageOf(error);
      reporter.logger.warn({ reason }, '--push: the metrics could not be pushed');
    }
  }

  return {
    steering,
    now: () => standing(sampler, final),
    get extremes() {
      sampler.read();
      return sampler.extremes;
    },
    cutOver,
    letWrite,
    hush(report) {
      final = report;
      steering.end();
      sampler.end(report.status);
      lookNoMore();
      history.note(sampler.read());
      events.note(sampler.read());
      log.ended(report);
    },
    async linger() {
      if (options.push !== undefined) await push(options.push);
      const seconds = options.metricsLingerSeconds;
      if (!server || seconds === 0 || signal.aborted) return;
      announce(reporter, `The metrics stay up for ${String(seconds)} s; Ctrl-C ends that.`, {
        seconds,
      });
      await delay(seconds * 1000, undefined, { signal }).catch(() => undefined);
    },
    close() {
      steering.end();
      lookNoMore();
      server?.close();
      ear?.close();
    },
  };
}

/** Who moves what to whom, for the log. */
export function tellStart(
  { sources, target }: Facts,
  { mover }: SourceRuns,
  options: JobOptions,
  { logger }: Reporter,
): void {
  const { measuring, name, reason } = mover;
  logger.info(
    {
      version,
      node: process.version,
      from: sources.map((source) => ({
        name: source.name,
        version: isServer(source) ? source.version : '',
        keys: source.keys,
      })),
      to: target.masters.map(({ node, version: redis }) => ({
        name: node.address,
        version: redis,
      })),
      mode: modeOf(options),
      mover: measuring ? 'auto' : name,
      reason: measuring ? 'taking turns, to measure which is faster' : reason,
    },
    `from ${sourceWords(sources.map((source) => source.name))} into the cluster of ${target.name}`,
  );
}

/*
 * How a run speaks to those around it: a screen where people read, and a logger. Either may be
 * missing; a warning reaches whoever is there.
 */

export interface Reporter {
  /** Where progress is shown; without it there is none. */
  readonly screen: NodeJS.WritableStream | undefined;
  readonly logger: Logger;
}

const nothing = (): void => undefined;

/** A logger that was not given is made up: it only warns, on the screen. */
export function createReporter(
  screen: NodeJS.WritableStream | undefined,
  logger: Logger | undefined,
): Reporter {
  const warn = (_: object, sentence: string): void => {
    if (screen) screenOf(screen).write(`WARNING: ${sentence}\n`);
  };
  return { screen, logger: logger ?? { debug: nothing, info: nothing, warn, error: nothing } };
}

/** The same with the time of day, which the log has of itself. */
export function announceNow(reporter: Reporter, sentence: string, fields: object): void {
  const { screen, logger } = reporter;
  if (screen) screenOf(screen).write(`${new Date().toTimeString().slice(0, 8)} ${sentence}\n`);
  logger.info(fields, sentence);
}

/** Says what people should know and programs may. */
export function announce({ screen, logger }: Reporter, sentence: string, fields: object): void {
  if (screen) screenOf(screen).write(`${sentence}\n`);
  logger.info(fields, sentence);
}
