/**
 * The sources of a run, each imported by another process: what `createSourceRuns` is for one process. To
 * those who watch, steer and report the run it is the same.
 *
 * A job whose process dies begins again in another one. What the dead one had sent may arrive still; so the
 * next attempt goes about it as a run does that goes on after a kill: it overwrites nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import { isDoneWithin } from '../async.js';
import { joinTallies } from '../engine/tally.js';
import { PreflightError } from '../errors.js';
import { leastMs } from '../limits/quiet.js';
import { type Facts, untilStopped } from '../plan/preflight.js';
import { isServer } from '../plan/source-facts.js';
import { followedJob } from '../run/followed-here.js';
import type { FollowCheckpoints, Following } from '../run/following.js';
import type { SourceLatency } from '../run/source-latency.js';
import type { SourceEnd, SourceView } from '../run/source-run.js';
import {
  createFollowing,
  joinMovers,
  limitsFrom,
  positionsOf,
  type SourceRuns,
} from '../run/source-runs.js';
import type { SteeredThrottle } from '../run/steer.js';
import type { Logger, TallySnapshot } from '../types.js';
import type { Said } from './dialogue.js';
import { createFollowedElsewhere } from './followed-elsewhere.js';
import type { EndOfSource, JobNews, JobOrders } from './job-news.js';
import type { JobRunner, RunningJob } from './job-runner.js';
import { RemoteSource } from './remote-source.js';
import { jobsOf, type SourceJob, type SpreadPlan } from './source-job.js';

/** A job whose process has died so often without getting anywhere is given up. */
const mostDeaths = 5;
const shareOutEveryMs = 1000;
const againAfterMs = 1000;

/** A job that is under way. */
interface UnderWay {
  readonly running: RunningJob;
  /** Keys and bytes that it had moved when rates were shared out last. */
  keys: number;
  bytes: number;
  /** It waits for a worker until it is heard for the first time. */
  isHeard: boolean;
}

export interface SpreadTold {
  readonly logger: Logger;
  readonly tell: (sentence: string) => void;
  readonly warn: (sentence: string) => void;
  /** Takes what people should know, and the fields of its log line. */
  readonly announce: (sentence: string, fields: object) => void;
}

/** @throws PreflightError when the sources must be imported by one process. */
export function createSpreadRuns(
  facts: Facts,
  plan: SpreadPlan,
  runner: JobRunner,
  { logger, tell, warn, announce }: SpreadTold,
): SourceRuns {
  const { options } = plan;
  checkSpread(plan);
  const jobs = jobsOf(facts, plan, runner.atOnce);
  const byName = new Map(
    facts.sources.map((source) => [
      source.name,
      new RemoteSource(source, plan.startAts[source.name]),
    ]),
  );
  const all = [...byName.values()];
  const underWay = new Map<SourceJob, UnderWay>();
  const latencies = new Map<SourceJob, number>();
  /** What clients of a job's sources may have to wait now; null: nobody minds. */
  const latencyLimits = new Map<SourceJob, number | null>();
  const latencyListeners: ((seconds: number) => void)[] = [];
  let limits = limitsFrom(options);
  let isPaused = false;
  let bound = options.maxSourceLatencyMs;
  let measuresLatency = false;
  const hasServers = facts.sources.some(isServer);
  const joined = joinTallies(all.map(({ tally }) => tally));
  /** Until something is heard: with many sources it costs much to add up, and it is asked for by many. */
  let known: TallySnapshot | undefined;
  let isOrdering = false;
  const stopping = new AbortController();
  const running = new Map<SourceJob, Promise<readonly SourceEnd[]>>();
  const following = options.follow
    ? createFollowing(facts, plan, logger, { tell, warn })
    : undefined;
  const elsewhere =
    following &&
    createFollowedElsewhere(facts.sources, options.timeoutMs, following, jobs, async (job) => {
      const ends = await begin(job);
      return ends.find(({ error }) => error !== undefined)?.error;
    });

  const throttle: SteeredThrottle = {
    get limits() {
      return limits;
    },
    get isPaused() {
      return isPaused;
    },
    limit(next) {
      limits = next;
      orderAll();
    },
    pause() {
      isPaused = true;
      orderAll();
    },
    resume() {
      isPaused = false;
      orderAll();
    },
  };
  const latency: SourceLatency = {
    get bound() {
      return bound;
    },
    get limitMs() {
      return leastMs(latencyLimits.values());
    },
    allowedKeys: undefined,
    others: undefined,
    hasServers,
    bind(next) {
      bound = next;
      orderAll();
    },
    // Each process looks itself.
    keepUp: () => undefined,
    ready: () => Promise.resolve(),
    begin() {
      measuresLatency = true;
      orderAll();
    },
    onTold: (listener) => latencyListeners.push(listener),
    stop: () => undefined,
  };

  function movedBy(job: SourceJob): { readonly keys: number; readonly bytes: number } {
    const snapshots = viewsOf(job).map(({ tally }) => tally.snapshot());
    return {
      keys: snapshots.reduce((sum, { moved }) => sum + moved, 0),
      bytes: snapshots.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }

  function viewsOf(job: SourceJob): readonly RemoteSource[] {
    return job.sources.flatMap((name) => byName.get(name) ?? []);
  }

  /** What a job is told, with its share of the limits. */
  function ordersWith(keysPerSecond: number | null, bytesPerSecond: number | null): JobOrders {
    return {
      keysPerSecond,
      bytesPerSecond,
      sourceLatencyMs: bound,
      measuresLatency,
      isPaused,
      followPhase: following?.phase ?? null,
    };
  }

  /** Equal shares, for so many jobs. */
  function equalShare(count: number): JobOrders {
    const { keysPerSecond, bytesPerSecond } = limits;
    return ordersWith(
      keysPerSecond === undefined ? null : Math.max(1, keysPerSecond / count),
      bytesPerSecond === undefined ? null : Math.max(1, bytesPerSecond / count),
    );
  }

  /** How many jobs share the limits. */
  function sharers(): number {
    // Those that wait in a queue use nothing.
    return Math.max(1, [...underWay.values()].filter((one) => !waits(one)).length);
  }

  /**
   * Once for all that happens in a moment: a thousand jobs that begin together would order each other a million
   * times. Those that wait in a queue are told with the next sharing out.
   */
  function orderAll(): void {
    if (isOrdering) return;
    isOrdering = true;
    queueMicrotask(() => {
      isOrdering = false;
      const orders = equalShare(sharers());
      for (const one of underWay.values()) if (!waits(one)) one.running.obey(orders);
    });
  }

  function stopAll(): void {
    for (const { running } of underWay.values()) running.stop();
  }

  /** Ahead of the end of their processes: writes that are held have to be let go. */
  async function stopFollowing(why: string): Promise<void> {
    await following?.end(why);
  }

  /** It has no worker yet, as far as is known. */
  function waits({ isHeard }: UnderWay): boolean {
    return runner.atOnce === Infinity && !isHeard;
  }

  /** Who does not use up their share leaves it to those who do. */
  function shareOutAgain(elapsedMs: number): void {
    const heard = [...underWay].filter(([, { isHeard }]) => isHeard);
    const now = heard.map(([job, one]) => ({ one, moved: movedBy(job) }));
    const rate = (count: number): number => (count * 1000) / elapsedMs;
    const keys = shareOut(
      limits.keysPerSecond,
      now.map(({ one, moved }) => rate(moved.keys - one.keys)),
    );
    const bytes = shareOut(
      limits.bytesPerSecond,
      now.map(({ one, moved }) => rate(moved.bytes - one.bytes)),
    );
    for (const [at, { one, moved }] of now.entries()) {
      one.keys = moved.keys;
      one.bytes = moved.bytes;
      one.running.obey(ordersWith(keys[at] ?? null, bytes[at] ?? null));
    }
    const orders = equalShare(sharers());
    for (const one of underWay.values()) if (waits(one)) one.running.obey(orders);
  }

  function hear(job: SourceJob, news: JobNews): void {
    const one = underWay.get(job);
    if (one?.isHeard === false) {
      one.isHeard = true;
      orderAll();
    }
    for (const view of viewsOf(job)) view.hear(news);
    known = undefined;
    for (const sentence of news.warnings) warn(sentence);
    for (const { level, fields, message, isAnnounced } of news.log) {
      if (isAnnounced === true) announce(message, fields);
      else logger[level](fields, message);
    }
    latencyLimits.set(job, news.latencyLimitMs);
    if (news.latencySeconds === null) return;
    latencies.set(job, news.latencySeconds);
    const longest = Math.max(...latencies.values());
    for (const listener of latencyListeners) listener(longest);
  }

  /** The job as its next attempt takes it. */
  function nextAttempt(job: SourceJob, attempt: number): SourceJob {
    const follow = following &&
      job.follow && {
        ...job.follow,
        at: positionsFor(following),
        isTakenUp: elsewhere?.wasJoined(job) === true,
      };
    if (attempt === 1) return { ...job, follow };
    const before = viewsOf(job).flatMap(({ source, progress }) => {
      // What is followed from nowhere is copied, and counted, once more.
      const isKnown = !follow || (isServer(source) && followedJob(source.endpoint) in follow.at);
      return progress && isKnown ? [[source.name, progress] as const] : [];
    });
    return { ...job, follow, attempt, before: Object.fromEntries(before) };
  }

  /** From where an attempt at a job goes on, by database: as an earlier one of this run knew, or an earlier run. */
  function positionsFor(known: Following): FollowCheckpoints {
    const all = facts.sources.filter(isServer).map(({ endpoint }) => followedJob(endpoint));
    return Object.fromEntries(
      all.flatMap((name) => {
        const at = known.checkpoints[name] ?? known.resumeAt(name);
        return at ? [[name, at] as const] : [];
      }),
    );
  }

  /** Runs a job, once. */
  function begin(job: SourceJob): Promise<readonly SourceEnd[]> {
    let begun = running.get(job);
    if (!begun) {
      begun = runJob(job, stopping.signal);
      running.set(job, begun);
    }
    return begun;
  }

  async function runJob(job: SourceJob, signal: AbortSignal): Promise<readonly SourceEnd[]> {
    const endWith = (end: EndOfSource): readonly SourceEnd[] =>
      viewsOf(job).map((run) => endOf(run, end));
    const isStopped = (): boolean => signal.aborted;
    let deaths = 0;
    let refusedUntilMs = 0;
    for (let attempt = 1; !isStopped(); attempt++) {
      const before = movedBy(job);
      let hearSaid: ((said: Said) => void) | undefined;
      const meet = (): void => {
        hearSaid = elsewhere?.meet(job, (said) => {
          begun.say(said);
        });
      };
      const begun = runner.begin(nextAttempt(job, attempt), equalShare(sharers() + 1), {
        news(news) {
          hear(job, news);
        },
        said(said) {
          hearSaid?.(said);
        },
        async begins() {
          elsewhere?.part(job);
          // It would let a source be written to that a cutover is about to leave, or has left.
          if (elsewhere && !(await elsewhere.goesOn())) {
            begun.stop();
            return undefined;
          }
          meet();
          return nextAttempt(job, 2);
        },
      });
      meet();
      underWay.set(job, { running: begun, ...before, isHeard: false });
      orderAll();
      if (isStopped()) begun.stop();
      void elsewhere?.untilOver().then(() => {
        begun.expectEnd();
      });
      const ended = await begun.ended;
      const hasJoined = elsewhere?.isJoined(job) === true;
      elsewhere?.part(job);
      underWay.delete(job);
      if ('sources' in ended) hear(job, ended.news);
      latencies.delete(job);
      latencyLimits.delete(job);
      orderAll();
      if ('refused' in ended && (attempt === 1 || performance.now() > refusedUntilMs)) {
        return endWith({ error: ended.refused, isFinal: false });
      }
      if ('refused' in ended) {
        // What was well before the start may be away for a moment now.
        await delay(againAfterMs, undefined, { signal }).catch(() => undefined);
        continue;
      }
      if ('sources' in ended) {
        return viewsOf(job).map((run) => endOf(run, ended.sources[run.source.name]));
      }
      refusedUntilMs = performance.now() + options.retryForMs;
      const { keys } = movedBy(job);
      deaths = keys > before.keys || hasJoined ? 1 : deaths + 1;
      if (deaths >= mostDeaths) {
        const times = `${String(deaths)} times`;
        const error = `the process that imports it has died ${times} without moving a key (${ended.died})`;
        return endWith({ error, isFinal: false });
      }
      // A source that was made to refuse writes is nobody's any more.
      if (isStopped() || (elsewhere && !(await elsewhere.goesOn()))) {
        warn(
          `${job.name} was not heard to its end (${ended.died}): what was copied since it was last heard is not counted.`,
        );
        if (elsewhere) for (const view of viewsOf(job)) view.endAsHeard();
        known = undefined;
        break;
      }
      warn(
        `The process that imports ${job.name} died (${ended.died}), and another one went on: keys that it had moved since it was last heard are not counted.`,
      );
    }
    return endWith({ error: null, isFinal: false });
  }

  return {
    all,
    throttle,
    latency,
    follow: following,
    async join(signal) {
      if (!elsewhere) return;
      if (runner.atOnce === Infinity) {
        tell(
          `Waiting for workers: each of the ${String(jobs.length)} servers needs one for as long as it is followed.`,
        );
      }
      try {
        await untilStopped(
          following.join(elsewhere).then(() => following),
          signal,
        );
      } catch (error) {
        // No worker is left with a job of a run that was not begun.
        stopping.abort();
        stopAll();
        await isDoneWithin(options.timeoutMs, Promise.all(running.values()));
        throw error;
      }
    },
    tally: {
      ...joined,
      snapshot: () => (known ??= joined.snapshot()),
    },
    mover: joinMovers(all, () => [...underWay.keys()].flatMap(viewsOf)),
    positions: () => positionsOf(all),
    look() {
      // Each process looks itself.
    },
    async run(signal) {
      const limit = pLimit(runner.atOnce);
      const stop = (): void => {
        void stopFollowing('the run was stopped').finally(() => {
          stopping.abort();
          stopAll();
        });
      };
      // One for all of them: Node warns of a signal to which more than ten listen.
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop);
      following?.begin(all.map(({ tally }) => tally));
      elsewhere?.begin();
      let lookedAtMs = performance.now();
      const sharing = setInterval(() => {
        const nowMs = performance.now();
        shareOutAgain(nowMs - lookedAtMs);
        lookedAtMs = nowMs;
      }, shareOutEveryMs);
      try {
        const ends = jobs.map((job) =>
          limit(async () => {
            const ended = await begin(job);
            // What is followed has no end before that of all others.
            await stopFollowing('the run ended');
            return ended;
          }),
        );
        return (await Promise.all(ends)).flat();
      } finally {
        clearInterval(sharing);
        signal.removeEventListener('abort', stop);
      }
    },
    close() {
      following?.close();
    },
  };
}

function endOf(run: SourceView, end: EndOfSource | undefined): SourceEnd {
  const { error, isFinal } = end ?? { error: 'its process said nothing of it', isFinal: false };
  return { run, error: error ?? undefined, isFinal };
}

/** @throws PreflightError */
function checkSpread({ options: { queue }, decision }: SpreadPlan): void {
  if (decision.overwrites && !decision.startedEmpty) {
    const flag = queue === undefined ? '--workers' : '--queue';
    throw new PreflightError(
      `${flag}: with --replace the sources take turns, because keys of one may be called as keys of another are; leave ${flag} out, or pass --no-replace.`,
    );
  }
}

/* How the limits of a run are shared among those who import its sources. */

/** Who uses less than so much of its share could not use more. */
const usedUp = 0.9;
/** What such a one is left to grow by. */
const headroom = 1.25;
/** And at least so much of an equal share, so that it can be seen to want more. */
const leastShare = 0.25;

/**
 * @param limit of all together; undefined: there is none.
 * @param rates what each one moved a second in the last moment.
 * @returns the share of each, which add up to the limit; null: no limit.
 */
export function shareOut(
  limit: number | undefined,
  rates: readonly number[],
): readonly (number | null)[] {
  if (limit === undefined) return rates.map(() => null);
  const equal = limit / rates.length;
  const wanted = rates.map((rate) =>
    rate < equal * usedUp
      ? Math.min(equal, Math.max(rate * headroom, equal * leastShare))
      : Infinity,
  );
  const modest = wanted.filter((rate) => rate !== Infinity);
  const left = limit - modest.reduce((sum, rate) => sum + rate, 0);
  const others = rates.length - modest.length;
  // Where nobody uses their share up, all may.
  if (others === 0) return rates.map(() => Math.max(1, equal));
  return wanted.map((rate) => Math.max(1, rate === Infinity ? left / others : rate));
}
