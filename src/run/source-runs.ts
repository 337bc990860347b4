/**
 * A run of several sources, each with a run of its own, shown and counted as one.
 *
 * Servers are taken side by side, a few at a time. The databases of one server take turns: the write
 * counter that the guard compares (movers/relay/guard-by-counter.ts) is the server's, so what one run deletes
 * would look to the other as if somebody wrote.
 *
 * A key that several sources have must not be overwritten by any but the first. So with several
 * sources nothing that is in the cluster is overwritten; and where it was asked for that the cluster's
 * own keys are, the runs take turns, and share what they have listed.
 */
import pLimit from 'p-limit';
import { createAllowance, createThrottle, type ThrottleLimits } from '../limits/limits.js';
import { listingRecord } from '../engine/seen-keys.js';
import { createServerStates } from '../engine/server-states.js';
import { joinTallies } from '../engine/tally.js';
import { ImportError, messageOf, StoppedError } from '../errors.js';
import type { MoverInUse } from '../watch/sampler.js';
import type { AccessOptions } from '../options/access.js';
import type { LimitOptions, SelectionOptions } from '../options/options.js';
import { parseNat } from '../redis/endpoint.js';
import type { Logger, ScanPosition, Tally } from '../types.js';
import {
  createServerRun,
  keyPrefix,
  type SourceEnd,
  type SourceRun,
  type SourceRunOptions,
  type SourceView,
} from './source-run.js';
import type { KeysFile } from '../sources/keys-file.js';
import type { MovedKeys } from '../journal/moved.js';
import { createDumpRun } from './dump-run.js';
import type { JobDecision } from './decide.js';
import type { EvictionWatch } from './eviction.js';
import { FollowedHere, type FollowLead } from './followed-here.js';
import { type FollowCheckpoints, Following, type FollowingOptions } from './following.js';
import type { KnownLibraries } from './functions.js';
import type { Facts } from '../plan/preflight.js';
import type { Held, Report } from '../report.js';
import {
  byServer,
  isServer,
  keyCountOf,
  serverIdOf,
  type SourceFacts,
} from '../plan/source-facts.js';
import { RdbError } from '../sources/rdb/rdb-errors.js';
import { type ProbedServer, probeServers, type SourceLatency } from './source-latency.js';
import type { SteeredThrottle } from './steer.js';

/** How many servers are read at one time: more keep the client no busier, and take memory. */
const serversAtOnce = 4;

export interface SourceRuns {
  readonly all: readonly SourceView[];
  readonly tally: Tally;
  readonly mover: MoverInUse;
  readonly throttle: SteeredThrottle;
  /** How the sources are followed; undefined: they are not, or by another process's will. */
  readonly follow: Following | undefined;
  /** Joins what is followed: no change is missed from then on. @throws PreflightError, nothing was moved then. */
  join(signal: AbortSignal): Promise<void>;
  /** To be called about once a second: looks how the servers do. */
  look(): void;
  /** How long clients of the sources wait. */
  readonly latency: SourceLatency;
  /** By source. */
  positions(): Readonly<Record<string, ScanPosition>>;
  /** Runs until all sources are done, or the signal; what stops one of them stops no other. */
  run(signal: AbortSignal): Promise<readonly SourceEnd[]>;
  close(): void;
}

/**
 * What a run goes by: plain JSON, by which any process can import the sources. It says what was decided once for the
 * whole run; how the servers are is found out by each process that begins (plan/preflight.ts). What leaves this
 * process is without secrets (workers/source-job.ts).
 */
export interface ImportPlan {
  readonly options: SourceRunOptions & Pick<AccessOptions, 'nat'>;
  /** No other source of the job may have keys of the same names. */
  readonly isOnlySource: boolean;
  readonly decision: Pick<JobDecision, 'overwrites' | 'startedEmpty' | 'goesOn' | 'recallsMoved'>;
  /** How many keys earlier runs have moved. */
  readonly movedBefore: number;
  /** Where an earlier run's scans had come to, by source. */
  readonly startAts: Readonly<Record<string, ScanPosition>>;
  /** Where an earlier run's following had come to. */
  readonly followAt: FollowCheckpoints;
}

/** What the process has that carries a plan out. */
export interface PlanContext {
  readonly logger: Logger;
  readonly eviction: EvictionWatch;
  readonly reporter: Pick<FollowingOptions, 'tell' | 'warn'> & {
    /** Takes what people should know, and the fields of its log line. */
    announce(sentence: string, fields: object): void;
  };
  /** Where moved keys are kept, and those of earlier runs recalled from; undefined: they are not kept. */
  readonly moved?: MovedKeys | undefined;
  /** Just these keys, instead of all that the sources have. */
  readonly onlyKeys?: KeysFile | undefined;
}

/**
 * @param lead who decides on what is followed; undefined: this process does.
 * @throws PreflightError when the mover that was asked for can't work between these servers.
 */
export function createSourceRuns(
  { sources, target }: Facts,
  { options, isOnlySource, decision, movedBefore, startAts, followAt }: ImportPlan,
  { logger, eviction, reporter, moved, onlyKeys }: PlanContext,
  lead?: FollowLead,
): SourceRuns & { readonly here: FollowedHere | undefined } {
  const several = !isOnlySource;
  const replacesOthers = decision.overwrites && !decision.startedEmpty;
  const inTurn = several && replacesOthers;
  const throttle = createThrottle(limitsFrom(options));
  const states = createServerStates(logger, (sentence, fields) => {
    reporter.announce(sentence, fields);
  });
  const keyCount = keyCountOf(sources);
  // Where the cluster has keys that may be equal, a key that is taken for one listed before would stay.
  const density = decision.startedEmpty && !decision.goesOn ? 'usual' : 'sparse';
  // With room for those that earlier runs have moved: they may be recalled.
  const newRecord = () => listingRecord(keyCount + movedBefore, density);
  const common = newRecord();
  const movedEarlier = decision.recallsMoved ? newRecord() : undefined;
  const names = several && options.dryRun ? listingRecord(keyCount, 'usual') : undefined;
  const servers = new Map<string, ProbedServer>();
  const libraries: KnownLibraries = new Map();
  const following =
    options.follow && !lead
      ? createFollowing({ sources, target }, { options, followAt }, logger, reporter)
      : undefined;
  const leading = lead ?? following;
  const here =
    leading &&
    new FollowedHere({
      options,
      topology: target.topology,
      goesOn: decision.goesOn,
      lead: leading,
      liftLimits: (isLifted) => {
        throttle.lift(isLifted);
        for (const { allowance } of servers.values()) allowance.lift(isLifted);
      },
      logger,
      warn: reporter.warn,
    });
  const all = sources.map((source) => {
    const rules = {
      target,
      replace: decision.overwrites && (!several || inTurn),
      // What an earlier run has moved is nowhere else.
      ownsTarget: decision.startedEmpty && !decision.goesOn && !several,
      isOnlySource: !several,
    };
    const record = several && !inTurn ? listingRecord(source.keys, density) : common;
    const startAt = startAts[source.name];
    const parts = { options, logger, states, throttle, eviction, record, names, startAt };
    if (source.kind === 'dump') {
      return createDumpRun({ source, ...rules }, { ...parts, several, libraries });
    }
    const server = servers.get(serverIdOf(source)) ?? {
      source,
      allowance: createAllowance(),
    };
    servers.set(serverIdOf(source), server);
    return createServerRun(
      { source, ...rules },
      { ...parts, allowance: server.allowance, movedEarlier, moved, following: here, onlyKeys },
    );
  });
  const latency = probeServers([...servers.values()], options);
  const running = new Set<SourceView>();

  async function runToEnd(run: SourceRun, signal: AbortSignal): Promise<SourceEnd> {
    if (signal.aborted) return { run, error: undefined };
    running.add(run);
    try {
      await run.run(signal);
      return { run, error: undefined };
    } catch (error) {
      if (error instanceof StoppedError) return { run, error: undefined };
      const words = messageOf(error);
      return {
        run,
        error: error instanceof ImportError ? words : `Unexpected error: ${words}`,
        isFinal: error instanceof RdbError,
        isUnknown: error instanceof RdbError && error.kind === 'unknown',
      };
    } finally {
      running.delete(run);
    }
  }

  /** What is followed has no end before that of all others: when one ends, none could come to the cutover. */
  async function follow(ours: FollowedHere, signal: AbortSignal): Promise<readonly SourceEnd[]> {
    const end = (why: string): Promise<void> => following?.end(why) ?? ours.end();
    const stop = (): void => void end('the run was stopped');
    following?.begin(all.map(({ tally }) => tally));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
    try {
      return await Promise.all(
        all.map(async (run) => {
          const ended = await runToEnd(run, signal);
          await end('the run ended');
          return ended;
        }),
      );
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  return {
    all,
    throttle,
    look() {
      states.look();
      const phase = leading?.phase;
      if (phase !== undefined) latency.keepUp(phase !== 'copying');
    },
    follow: following,
    here,
    async join() {
      if (here) await following?.join(here);
    },
    latency,
    tally: joinTallies(all.map(({ tally }) => tally)),
    mover: joinMovers(all, () => [...running]),
    positions: () => positionsOf(all),
    async run(signal) {
      signal.addEventListener('abort', () => {
        throttle.release();
      });
      await latency.ready(signal);
      if (movedEarlier) await moved?.recall(movedEarlier, newRecord);
      if (here) return follow(here, signal);
      const limit = pLimit(inTurn ? 1 : serversAtOnce);
      const ends = byServer(all, ({ source }) => source).map((runs) =>
        limit(async () => {
          const ended: SourceEnd[] = [];
          for (const run of runs) ended.push(await runToEnd(run, signal));
          return ended;
        }),
      );
      return (await Promise.all(ends)).flat();
    },
    close() {
      latency.stop();
      following?.close();
      here?.close();
      for (const run of all) run.close();
    },
  };
}

/** How all of a plan's sources came to their end. */
export interface RunEnded {
  readonly ends: readonly SourceEnd[];
  readonly endedAtMs: number;
  readonly interrupted: boolean;
  /** What both sides held then; undefined: nobody asked. */
  readonly held: Held | undefined;
  /** Why all had to stop, because nodes evict; undefined: they had not. */
  readonly error: string | undefined;
  readonly evicted: Report['evicted'];
}

/**
 * Runs the sources of a plan to their end, or until they have to stop.
 * @param stop stops the run as the signal does, and is no interruption.
 * @param count asks both sides what they hold at the end.
 */
export async function runSources(
  { facts, runs, eviction }: { facts: Facts; runs: SourceRuns; eviction: EvictionWatch },
  signal: AbortSignal,
  {
    stop = new AbortController(),
    count,
  }: { stop?: AbortController; count?: () => Promise<Held> | undefined } = {},
): Promise<RunEnded> {
  eviction.begin(() => {
    stop.abort();
  });
  const ends = await runs.run(AbortSignal.any([signal, stop.signal]));
  const endedAtMs = Date.now();
  const interrupted = signal.aborted;
  // Ahead of the last look at what nodes have evicted: they may evict for this question too.
  const held = await count?.();
  const { error, evicted } = await eviction.end();
  if (ends.some((end) => end.error !== undefined)) await facts.settled();
  return { ends, endedAtMs, interrupted, held, error, evicted };
}

/** What knows of all sources that are followed. */
export function createFollowing(
  { sources, target }: Pick<Facts, 'sources' | 'target'>,
  { options, followAt }: Pick<ImportPlan, 'options' | 'followAt'>,
  logger: Logger,
  { tell, warn }: Pick<FollowingOptions, 'tell' | 'warn'>,
): Following {
  return new Following({
    options,
    topology: target.topology,
    nat: options.nat.map(parseNat),
    areOfCluster: areOfCluster(sources),
    mayShareNames: mayShareNames(sources, options),
    keyCount: keyCountOf(sources),
    logger,
    resumeAt: followAt,
    tell,
    warn,
  });
}

/** Whether keys may move from one of the sources to another. */
export function areOfCluster(sources: readonly SourceFacts[]): boolean {
  return sources.some((source) => source.kind === 'server' && source.inCluster);
}

/** Whether a key of one source may be called in the cluster as one of another source is. */
export function mayShareNames(
  sources: readonly SourceFacts[],
  options: Pick<SelectionOptions, 'keyPrefix'>,
): boolean {
  const servers = sources.filter(isServer);
  if (servers.length < 2 || servers.every(({ inCluster }) => inCluster)) return false;
  const prefixes = servers.map((server) => keyPrefix(options, server)?.toString('latin1') ?? '');
  return prefixes.some((one, index) =>
    prefixes.some((other, at) => at !== index && other.startsWith(one)),
  );
}

/** How far the scans have come for good, by source. */
export function positionsOf(all: readonly SourceView[]): Readonly<Record<string, ScanPosition>> {
  return Object.fromEntries(
    all.flatMap(({ source, settled }) => (settled ? [[source.name, settled.position]] : [])),
  );
}

/** The rates that a run was started with. */
export function limitsFrom({
  maxRate,
  maxBandwidth,
}: Pick<LimitOptions, 'maxRate' | 'maxBandwidth'>): ThrottleLimits {
  return {
    keysPerSecond: maxRate,
    bytesPerSecond: maxBandwidth === 0 ? undefined : maxBandwidth,
  };
}

/** So many sources are named with their reasons; a thousand would fill the report's line. */
const mostReasons = 5;

/** The mover of the run that has moved most; the reasons of all. */
export function joinMovers(
  all: readonly SourceView[],
  running: () => readonly SourceView[],
): MoverInUse {
  const [first] = all as readonly [SourceView, ...SourceView[]];
  return {
    get name() {
      let most = { run: first, moved: -1 };
      for (const run of all) {
        const { moved } = run.tally.snapshot();
        if (moved > most.moved) most = { run, moved };
      }
      return most.run.mover.name;
    },
    get reason() {
      const reasons = new Set(all.map(({ mover }) => mover.reason));
      if (reasons.size === 1) return first.mover.reason;
      const named = all
        .slice(0, mostReasons)
        .map(({ source, mover }) => `${source.name} by ${mover.name}: ${mover.reason}`);
      const more = all.length - named.length;
      return [...named, ...(more > 0 ? [`and ${String(more)} more sources`] : [])].join('; ');
    },
    get measuring() {
      const asked = all.length === 1 ? all : running();
      return asked.some(({ mover }) => mover.measuring === true);
    },
  };
}
