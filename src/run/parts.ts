/**
 * A run of several sources: a part for each, shown and counted as one.
 *
 * Servers are taken side by side, a few at a time. The databases of one server take turns: the write
 * counter that the guard compares (movers/relay/guard-by-counter.ts) is the server's, so what one part deletes
 * would look to the other as if somebody wrote.
 *
 * A key that several sources have must not be overwritten by any but the first. So with several
 * sources nothing that is in the cluster is overwritten; and where it was asked for that the cluster's
 * own keys are, the parts take turns, and share what they have listed.
 */
import pLimit from 'p-limit';
import { createAllowance } from '../limits/allowance.js';
import { listingRecord } from '../engine/seen-keys.js';
import { joinTallies } from '../engine/tally.js';
import { createThrottle, type Throttle } from '../limits/throttle.js';
import { ImportError, messageOf, StoppedError } from '../errors.js';
import type { MoverInUse } from '../watch/sampler.js';
import type { AccessOptions } from '../access.js';
import type { EndpointOptions, SelectionOptions } from '../options.js';
import { addressOf } from '../redis/endpoint.js';
import { parseNat } from '../redis/nat.js';
import type { Logger, ScanPosition, Tally } from '../types.js';
import { assemble, type Extras, type Part, type PartOptions } from './assemble.js';
import { assembleDump } from './assemble-dump.js';
import type { Plan } from './decide.js';
import type { EvictionWatch } from './eviction.js';
import { type FollowCheckpoints, Following, type FollowingOptions } from './following.js';
import type { KnownLibraries } from './functions.js';
import { readDatabases } from '../preflight/origins.js';
import type { Facts } from '../preflight/preflight.js';
import { filledPrefix } from '../preflight/options-checks.js';
import { isServer, type SourceFacts } from '../preflight/source-facts.js';
import { RdbError } from '../sources/rdb/rdb-errors.js';
import type { ProbedServer } from './source-latency.js';

/** How many servers are read at one time: more keep the client no busier, and take memory. */
const serversAtOnce = 4;

/** How a part came to its end: why it had to stop midway, if it had to. */
export interface PartEnd {
  readonly part: Part;
  readonly error: string | undefined;
  /** It would stop there each time. */
  readonly isFinal?: boolean;
  /** It is no file that can be read, which of a pipe shows only when its first bytes come. */
  readonly isUnknown?: boolean;
}

export interface Parts {
  readonly all: readonly Part[];
  readonly tally: Tally;
  readonly mover: MoverInUse;
  readonly throttle: Throttle;
  /** How the source is followed; undefined: it is not. */
  readonly follow: Following | undefined;
  readonly servers: readonly ProbedServer[];
  /** By source. */
  positions(): Readonly<Record<string, ScanPosition>>;
  /** Runs until all sources are done, or the signal; what stops one part stops no other. */
  run(signal: AbortSignal): Promise<readonly PartEnd[]>;
  close(): void;
}

/** What comes from earlier runs and from files, by source. */
export interface Given extends Pick<Extras, 'moved'> {
  /** How many keys they have moved. */
  readonly movedBefore: number;
  readonly plan: Pick<Plan, 'overwrites' | 'startedEmpty' | 'goesOn' | 'recallsMoved'>;
  /** Where an earlier run's following had come to. */
  readonly followAt: FollowCheckpoints;
  readonly of: (source: string) => Omit<Extras, 'moved'>;
}

/** @throws PreflightError when the mover that was asked for can't work between these servers. */
export function assembleParts(
  { sources, target }: Facts,
  options: PartOptions & Pick<EndpointOptions, 'db'> & Pick<AccessOptions, 'nat'>,
  logger: Logger,
  { plan, moved, movedBefore, followAt, of }: Given,
  eviction: EvictionWatch,
  voice: Pick<FollowingOptions, 'tell' | 'warn'>,
): Parts {
  // Of all databases, an earlier run may have emptied all but one.
  const several = sources.length > 1 || readDatabases(options.db) === 'all';
  const replacesOthers = plan.overwrites && !plan.startedEmpty;
  const inTurn = several && replacesOthers;
  const throttle = createThrottle({
    keysPerSecond: options.maxRate,
    bytesPerSecond: options.maxBandwidth === 0 ? undefined : options.maxBandwidth,
  });
  const keyCount = sources.reduce((sum, { keys }) => sum + keys, 0);
  // Where the cluster has keys that may be equal, a key that is taken for one listed before would stay.
  const density = plan.startedEmpty && !plan.goesOn ? 'usual' : 'sparse';
  // With room for those that earlier runs have moved: they may be recalled.
  const newRecord = () => listingRecord(keyCount + movedBefore, density);
  const common = newRecord();
  const movedEarlier = plan.recallsMoved ? newRecord() : undefined;
  const names = several && options.dryRun ? listingRecord(keyCount, 'usual') : undefined;
  const servers = new Map<string, ProbedServer>();
  const libraries: KnownLibraries = new Map();
  const following = options.follow
    ? new Following({
        options,
        topology: target.topology,
        nat: options.nat.map(parseNat),
        areOfCluster: sources.some((source) => source.kind === 'server' && source.inCluster),
        mayShareNames: mayShareNames(sources, options),
        keyCount,
        throttle,
        logger,
        goesOn: plan.goesOn,
        resumeAt: followAt,
        tell: voice.tell,
        warn: voice.warn,
      })
    : undefined;
  const all = sources.map((source) => {
    const rules = {
      target,
      replace: plan.overwrites && (!several || inTurn),
      // What an earlier run has moved is nowhere else.
      ownsTarget: plan.startedEmpty && !plan.goesOn && !several,
      isOnlySource: !several,
    };
    const record = several && !inTurn ? listingRecord(source.keys, density) : common;
    const limits = { throttle, eviction };
    const job = { options, logger, following };
    const shared = { ...limits, ...job, record, movedEarlier, names, libraries };
    if (source.kind === 'dump') {
      return assembleDump({ source, ...rules }, { ...shared, several }, of(source.name));
    }
    const server = servers.get(serverOf(source)) ?? {
      source,
      allowance: createAllowance(options.maxSourceLatencyMs),
    };
    servers.set(serverOf(source), server);
    const { allowance } = server;
    return assemble({ source, ...rules }, shared, allowance, { moved, ...of(source.name) });
  });
  const running = new Set<Part>();

  async function runPart(part: Part, signal: AbortSignal): Promise<PartEnd> {
    if (signal.aborted) return { part, error: undefined };
    running.add(part);
    try {
      await part.run(signal);
      return { part, error: undefined };
    } catch (error) {
      if (error instanceof StoppedError) return { part, error: undefined };
      const words = messageOf(error);
      return {
        part,
        error: error instanceof ImportError ? words : `Unexpected error: ${words}`,
        isFinal: error instanceof RdbError,
        isUnknown: error instanceof RdbError && error.kind === 'unknown',
      };
    } finally {
      running.delete(part);
    }
  }

  return {
    all,
    throttle,
    follow: following,
    servers: [...servers.values()],
    tally: joinTallies(all.map(({ tally }) => tally)),
    mover: joinMovers(all, running),
    positions: () =>
      Object.fromEntries(
        all.flatMap(({ ready, settledPosition }) =>
          settledPosition ? [[ready.source.name, settledPosition]] : [],
        ),
      ),
    async run(signal) {
      signal.addEventListener('abort', () => {
        throttle.release();
      });
      if (movedEarlier) await moved?.recall(movedEarlier, newRecord);
      // What is followed has no end before that of all others.
      if (following) return Promise.all(all.map((part) => runPart(part, signal)));
      const limit = pLimit(inTurn ? 1 : serversAtOnce);
      const ends = byServer(all).map((parts) =>
        limit(async () => {
          const ended: PartEnd[] = [];
          for (const part of parts) ended.push(await runPart(part, signal));
          return ended;
        }),
      );
      return (await Promise.all(ends)).flat();
    },
    close() {
      following?.close();
      for (const part of all) part.close();
    },
  };
}

/** Whether a key of one source may be called in the cluster as one of another source is. */
function mayShareNames(
  sources: readonly SourceFacts[],
  { keyPrefix }: Pick<SelectionOptions, 'keyPrefix'>,
): boolean {
  const servers = sources.filter(isServer);
  if (servers.length < 2 || servers.every(({ inCluster }) => inCluster)) return false;
  const prefixes = servers.map(({ endpoint }) =>
    filledPrefix(keyPrefix ?? '', endpoint.db, addressOf(endpoint)).toString('latin1'),
  );
  return prefixes.some((one, index) =>
    prefixes.some((other, at) => at !== index && other.startsWith(one)),
  );
}

function byServer(all: readonly Part[]): readonly Part[][] {
  const groups = new Map<string, Part[]>();
  for (const part of all) {
    const server = serverOf(part.ready.source);
    groups.set(server, [...(groups.get(server) ?? []), part]);
  }
  return [...groups.values()];
}

/** Who answers there: an address may be one of several. */
function serverOf(source: SourceFacts): string {
  if (source.kind === 'dump') return source.name;
  const { runId, endpoint } = source;
  return runId === '' ? addressOf(endpoint) : runId;
}

/** The mover of the part that has moved most; the reasons of all. */
function joinMovers(all: readonly Part[], running: ReadonlySet<Part>): MoverInUse {
  const [first] = all as readonly [Part, ...Part[]];
  if (all.length === 1) return first.mover;
  const moved = ({ tally }: Part): number => tally.snapshot().moved;
  return {
    get name() {
      return all.reduce((most, part) => (moved(part) > moved(most) ? part : most), first).mover
        .name;
    },
    get reason() {
      const reasons = new Set(all.map(({ mover }) => mover.reason));
      if (reasons.size === 1) return first.mover.reason;
      return all
        .map(({ ready, mover }) => `${ready.source.name} by ${mover.name}: ${mover.reason}`)
        .join('; ');
    },
    get measuring() {
      return [...running].some(({ mover }) => mover.measuring === true);
    },
  };
}
