/** Runs a job in this process, and says how it goes. */
import { unlessAborted } from '../async.js';
import { ImportError, StoppedError } from '../errors.js';
import { withAccess } from '../plan/endpoints.js';
import { addressOf } from '../redis/endpoint.js';
import type { Origin } from '../plan/origins.js';
import type { Identity } from '../redis/identity.js';
import { type Facts, preflight } from '../plan/preflight.js';
import { type EvictionWatch, watchEviction } from '../run/eviction.js';
import type { SourceEnd, SourceView } from '../run/source-run.js';
import {
  createSourceRuns,
  type ImportPlan,
  runSources,
  type SourceRuns,
} from '../run/source-runs.js';
import type { BatchEvent, KeyFailure, Logger, TallySnapshot } from '../types.js';
import {
  addCounts,
  batchesOnWire,
  countedBefore,
  countedWhileFollowed,
  type EndOfSource,
  failureOnWire,
  type JobEnd,
  type JobNews,
  type JobOrders,
  type LogLine,
  type SourceProgress,
  tallyOnWire,
} from './job-news.js';
import { type AskedOfLead, Dialogue, type Said } from './dialogue.js';
import { createFollowedJob, type FollowedJob } from './followed-job.js';
import { endWithNothing, type JobSecrets, type SourceJob } from './source-job.js';
import { closeOthersEverywhere } from './takeover.js';

/** Often enough for what people look at. */
const tellEveryMs = 200;

export interface JobContext {
  readonly secrets: JobSecrets;
  /** What its connections carry. */
  readonly identity: Identity;
  /** Waits until nothing of an attempt before can still be under way, where its connections can't be closed. */
  readonly othersAreGone: () => Promise<void>;
  /** What holds from the start. */
  readonly orders: JobOrders;
  /** Once aborted, the batches in flight are finished. */
  readonly signal: AbortSignal;
  /** Takes what there is to say, several times a second. */
  readonly tell: (news: JobNews) => void;
  /** Says something to the one that began the run, of what is followed. */
  readonly say: (said: Said) => void;
  /** Is called once where sources are followed, with what hears that one from then on. */
  readonly onSaid: (hear: (said: Said) => void) => void;
  /** Is called once, with what takes orders from then on. */
  readonly onBegin: (obey: (orders: JobOrders) => void) => void;
}

export async function runJob(job: SourceJob, context: JobContext): Promise<JobEnd> {
  const { secrets, signal, tell } = context;
  const options = { ...job.options, ...secrets };
  const told = createTold();
  let facts: Facts | undefined;
  let eviction: EvictionWatch | undefined;
  let runs: ReturnType<typeof createSourceRuns> | undefined;
  let followed: FollowedJob | undefined;
  try {
    if (job.follow) {
      const dialogue = new Dialogue<AskedOfLead>(context.say);
      followed = createFollowedJob(job, dialogue);
      context.onSaid((said) => {
        dialogue.hear(said);
      });
    }
    const origins = await Promise.all(
      job.origins.map((origin) => reached(origin, options, secrets)),
    );
    // What the checks have to say was said before the run began.
    const listener = { ...told, signal };
    facts = await preflight(options, listener, origins.length > 0 ? origins : undefined);
    const refusing = await closeOthersEverywhere(facts, options.timeoutMs, context.identity);
    if (refusing.length > 0 && job.attempt > 1) await context.othersAreGone();
    eviction = watchEviction(facts, options);
    const process = { logger: told.logger, eviction, reporter: told };
    runs = createSourceRuns(facts, planOf(job), process, followed);
    const { latency } = runs;
    const reports = runs.all.map((view) => createSourceReport(view, job));
    const news = (): JobNews => ({
      sources: Object.fromEntries(reports.map(({ name, progress }) => [name, progress()])),
      batches: Object.fromEntries(
        reports.map(({ name, batches }) => [name, batchesOnWire(batches.splice(0))]),
      ),
      failures: Object.fromEntries(
        reports.map(({ name, failures }) => [name, failures.splice(0).map(failureOnWire)]),
      ),
      ...told.take(),
      latencyLimitMs: latency.limitMs ?? null,
    });
    latency.onTold(told.noteLatency);
    const obey = obeying(runs, followed);
    obey(context.orders);
    context.onBegin(obey);
    told.begin();
    const underWay = runs;
    const telling = setInterval(() => {
      underWay.look();
      followed?.tell();
      tell(news());
    }, tellEveryMs);
    try {
      if (runs.here) {
        // A feed that can't go on ends its sources by itself.
        await unlessAborted(
          runs.here.join(() => undefined),
          signal,
        );
        if (followed) await unlessAborted(followed.joined(runs.here), signal);
      }
      const { ends, error } = await runSources({ facts, runs, eviction }, signal);
      const each = error === undefined ? ends : ends.map((end) => ({ ...end, error }));
      return { sources: Object.fromEntries(each.map(endOnWire)), news: news() };
    } finally {
      clearInterval(telling);
    }
  } catch (error) {
    if (error instanceof StoppedError || error === signal.reason) return endWithNothing(job);
    if (!(error instanceof ImportError)) throw error;
    return { refused: error.message };
  } finally {
    followed?.close();
    runs?.close();
    eviction?.close();
    facts?.close();
  }
}

async function reached(
  origin: Origin,
  options: SourceJob['options'],
  secrets: JobSecrets,
): Promise<Origin> {
  const { endpoint } = origin;
  const own = { ...options, ...secrets.byServer?.[addressOf(endpoint)] };
  return { ...origin, endpoint: await withAccess(endpoint, 'from', own) };
}

/** What was found out of the whole job holds for this part of it: there are other sources. */
function planOf({ decision, startAts, before, options, attempt, follow }: SourceJob): ImportPlan {
  const positions = Object.entries(before).flatMap(([name, { settled }]) =>
    settled ? [[name, settled.position] as const] : [],
  );
  return {
    options,
    isOnlySource: false,
    decision: {
      startedEmpty: decision.startedEmpty,
      goesOn: decision.goesOn || attempt > 1,
      overwrites: false,
      recallsMoved: false,
    },
    movedBefore: 0,
    startAts: options.copy ? { ...startAts, ...Object.fromEntries(positions) } : {},
    followAt: follow?.at ?? {},
  };
}

interface SourceReport {
  readonly name: string;
  readonly batches: BatchEvent[];
  readonly failures: KeyFailure[];
  readonly progress: () => SourceProgress;
}

function createSourceReport(
  view: SourceView,
  { options, before, follow }: SourceJob,
): SourceReport {
  const { name } = view.source;
  const earlier = follow
    ? countedWhileFollowed(before[name])
    : countedBefore(before[name], options.copy);
  const batches: BatchEvent[] = [];
  const failures: KeyFailure[] = [];
  view.tally.onBatch((event) => batches.push(event));
  view.tally.onFailure((failure) => failures.push(failure));
  const counts = (): TallySnapshot => addCounts(earlier, view.tally.snapshot());
  return {
    name,
    batches,
    failures,
    progress() {
      const { name: mover, reason, measuring } = view.mover;
      const { settled } = view;
      return {
        tally: tallyOnWire(counts()),
        mover: { name: mover, reason, ...(measuring !== undefined && { measuring }) },
        settled: settled?.tally
          ? { position: settled.position, tally: tallyOnWire(addCounts(earlier, settled.tally)) }
          : (before[name]?.settled ?? null),
      };
    },
  };
}

function obeying(
  { throttle, latency }: SourceRuns,
  followed: FollowedJob | undefined,
): (orders: JobOrders) => void {
  return (orders) => {
    const { keysPerSecond, bytesPerSecond, sourceLatencyMs, measuresLatency, isPaused } = orders;
    if (followed) followed.phase = orders.followPhase ?? undefined;
    const next = {
      keysPerSecond: keysPerSecond ?? undefined,
      bytesPerSecond: bytesPerSecond ?? undefined,
    };
    const { limits } = throttle;
    // Whoever waits for a turn begins to wait anew when a limit changes.
    if (
      limits.keysPerSecond !== next.keysPerSecond ||
      limits.bytesPerSecond !== next.bytesPerSecond
    ) {
      throttle.limit(next);
    }
    if (isPaused) throttle.pause();
    else throttle.resume();
    if (latency.hasServers && latency.bound !== sourceLatencyMs) latency.bind(sourceLatencyMs);
    if (measuresLatency) latency.begin();
  };
}

function endOnWire({ run, error, isFinal }: SourceEnd): readonly [string, EndOfSource] {
  return [run.source.name, { error: error ?? null, isFinal: isFinal ?? false }];
}

/** What is kept until it is taken along with the news. */
interface Told {
  readonly logger: Logger;
  /** Heeds what is said from the start of the run on. */
  readonly warn: (sentence: string) => void;
  readonly tell: () => void;
  readonly announce: (sentence: string, fields: object) => void;
  readonly begin: () => void;
  readonly noteLatency: (seconds: number) => void;
  readonly take: () => Pick<JobNews, 'warnings' | 'log' | 'latencySeconds'>;
}

function createTold(): Told {
  const warnings: string[] = [];
  const log: LogLine[] = [];
  let hasBegun = false;
  let latencySeconds: number | null = null;
  const line =
    (level: LogLine['level']) =>
    (fields: object, message: string): void => {
      log.push({ level, fields, message });
    };
  return {
    logger: {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
    },
    tell: () => undefined,
    announce(message, fields) {
      log.push({ level: 'info', fields, message, isAnnounced: true });
    },
    warn(sentence) {
      if (hasBegun) warnings.push(sentence);
    },
    begin() {
      hasBegun = true;
    },
    noteLatency(seconds) {
      latencySeconds = seconds;
    },
    take() {
      const known = latencySeconds;
      latencySeconds = null;
      return { warnings: warnings.splice(0), log: log.splice(0), latencySeconds: known };
    },
  };
}
