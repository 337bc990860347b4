/**
 * The import of one source: what those see of it who watch it, wherever it runs, what it can do, and how that of a
 * server's database is put together.
 */
import { type Checkpoint, Pipeline } from '../engine/pipeline.js';
import type { ListingRecord } from '../engine/seen-keys.js';
import type { ServerStates } from '../engine/server-states.js';
import { createTally } from '../engine/tally.js';
import type { MovedKeys } from '../journal/moved.js';
import { type Allowance, createDistance, createLimits, type Throttle } from '../limits/limits.js';
import { type Census, counting } from '../movers/counting.js';
import { copyWhenListed } from '../movers/policy.js';
import { createSideChannel } from '../movers/side-channel.js';
import type { FollowOptions, PatienceOptions, SelectionOptions } from '../options/options.js';
import { filledPrefix } from '../plan/options-checks.js';
import type { SourcePlan } from '../plan/preflight.js';
import { serverIdOf, type SourceFacts, trialOf } from '../plan/source-facts.js';
import { addressOf } from '../redis/endpoint.js';
import { createLink, type Link } from '../redis/pool.js';
import { createSourceHealth, type SourceHealth } from '../redis/source-health.js';
import { trialNameLike } from '../sources/glob.js';
import { type KeysFile, keysFileSource } from '../sources/keys-file.js';
import { scanSource } from '../sources/scan.js';
import { renamedSource, selectedSource, selectsAll } from '../sources/selection.js';
import type { Logger, Mover, ScanPosition, Tally, TallySnapshot } from '../types.js';
import type { MoverInUse } from '../watch/sampler.js';
import { type ChoiceOptions, chooseMover } from './choose-mover.js';
import { connectionLog, nodeConnections } from './connections.js';
import type { EvictionWatch } from './eviction.js';
import type { FollowedHere } from './followed-here.js';
import { confirmation, jobPolicy, moverOf } from './movers.js';

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

/*
 * Puts the import of one database of a server together: connections, the source, the mover
 * (movers.ts), the pipeline. The only place where they all meet; what each one needs of the servers
 * was found out before.
 */

const batchBytes = 1024 * 1024;

/** What the import of one source reads. */
export type SourceRunOptions = ChoiceOptions & SelectionOptions & FollowOptions & PatienceOptions;

/** What a source is imported with, besides its plan. */
export interface SourceRunParts {
  readonly options: SourceRunOptions;
  readonly logger: Logger;
  readonly throttle: Throttle;
  /** How the servers do. */
  readonly states: ServerStates;
  /** Which nodes evict keys. */
  readonly eviction: EvictionWatch;
  /** What has been listed so far. */
  readonly record: ListingRecord;
  /** For `--dry-run` of several sources: the names that they have in the cluster. */
  readonly names: ListingRecord | undefined;
  /** Where an earlier run's scan had come to. */
  readonly startAt: ScanPosition | undefined;
}

export interface ServerRunParts extends SourceRunParts {
  /** How much may be under way at the source's server. */
  readonly allowance: Allowance;
  /** What earlier runs have moved, where that must be told from new keys. */
  readonly movedEarlier: ListingRecord | undefined;
  /** Where moved keys are kept, for the job's next start. */
  readonly moved: MovedKeys | undefined;
  /** How the sources are followed; undefined: they are not. */
  readonly following: FollowedHere | undefined;
  /** Just these keys, instead of all that the source has. */
  readonly onlyKeys: KeysFile | undefined;
}

/** Of names that several sources may have. */
export function noting(names: ListingRecord | undefined): ((name: Buffer) => boolean) | undefined {
  return names && ((name) => names.noted(name, 0, name.length));
}

/** @throws PreflightError when the mover that was asked for can't work between these servers. */
export function createServerRun(plan: SourcePlan, parts: ServerRunParts): SourceRun {
  const { options, logger, states, throttle, allowance, eviction, following } = parts;
  const { record, movedEarlier, moved, names, startAt, onlyKeys } = parts;
  const choice = options.dryRun ? undefined : chooseMover(plan, options);
  const { topology } = plan.target;
  const { timeoutMs, retryForMs, copy } = options;
  const { address } = plan.source.control;
  const distance = createDistance();
  const limits = createLimits(distance, throttle, allowance);
  const connections = connectionLog(logger, states, address);
  const opening = createLink(plan.source.endpoint, {
    timeoutMs,
    retryForMs,
    through: () => followed?.sideDoor,
    mustBeWritable: !copy,
    onFailedAttempt({ message }) {
      const isRefusal = message.includes(' answered: ');
      const sentence = isRefusal
        ? `${address} refuses commands: nothing more is begun until it takes them again (${message})`
        : `lost ${address}; trying again`;
      states.went(address, { why: message, sentence, isRefusal });
    },
  });
  const link: Link = {
    ...opening,
    async open() {
      const linked = await opening.open();
      distance.noteSource(linked.roundTripMs);
      connections.opened(linked.connection, 'source');
      return linked;
    },
  };

  const health = createSourceHealth(link, {
    name: plan.source.name,
    retryForMs,
    logger: {
      warn({ answer }, sentence) {
        states.went(address, { why: answer, sentence, isRefusal: true });
      },
      info() {
        states.isBack(address);
      },
    },
    trial: trialOf(plan.source.has, {
      copy,
      mover: choice?.name === 'auto' ? 'migrate' : (choice?.name ?? 'relay'),
    }),
    trialName: () => trialNameLike(options.match),
  });

  const toNodes = nodeConnections(topology, connections, distance, timeoutMs);
  const connectNode = eviction.cutting(toNodes, connections);

  const scan = scanSource(link, health, {
    name: plan.source.name,
    estimatedKeys: plan.source.keys,
    pageKeys: () => limits.page(),
    isEmptied: !copy,
    startAt,
  });
  const all = onlyKeys ? keysFileSource(onlyKeys, plan.source.name) : scan;
  const prefix = keyPrefix(options, plan.source);
  const followed = following?.add({
    source: all,
    serverId: serverIdOf(plan.source),
    server: { ...plan.source, isReplica: plan.source.role === 'slave' },
    endpoint: plan.source.endpoint,
    keyCount: plan.source.keys,
    prefix,
    limits,
    openSource: async () => (await opening.open()).connection,
    renewSource: () => {
      connections.losing(() => {
        opening.renew();
      });
    },
  });
  const listed = followed?.database.source ?? all;
  const wanted = selectsAll(options) ? listed : selectedSource(listed, link, health, options);
  const source = prefix === undefined ? wanted : renamedSource(wanted, prefix);
  const checkpoints =
    copy && !onlyKeys && !followed
      ? createCheckpoints(
          () => scan.position,
          () => tally.snapshot(),
          startAt,
        )
      : undefined;
  const tally = createTally(source, copy ? 'copy' : 'move', { states, address });
  const aside = createSideChannel(async () => (await link.open()).connection, connectNode);
  const census: Census = { types: new Map(), present: 0, shared: 0 };
  const verifying = choice && options.verify ? confirmation(plan, options) : undefined;
  const mover: Mover & MoverInUse = choice
    ? moverOf(choice, {
        plan,
        options,
        link,
        connectNode,
        aside,
        distance,
        limits,
        beforeDeletes: moved?.note,
        eviction,
        confirmation: verifying,
      })
    : {
        ...counting({
          ...aside,
          openSource: async () => (await link.open()).connection,
          hasKeys: plan.target.masters.some(({ keys }) => keys > 0),
          census,
          isNoted: noting(names),
        }),
        reason: 'nothing is moved (--dry-run)',
      };

  return {
    source: plan.source,
    tally,
    mover,
    census,
    get settled() {
      return checkpoints?.last;
    },
    async run(signal) {
      link.heed(signal);
      health.heed(signal);
      const waiting = patient(mover, health);
      await new Pipeline({
        source,
        topology,
        mover: followed?.database.retrying(waiting) ?? waiting,
        tally,
        states,
        signal,
        logger,
        record,
        movedEarlier,
        copyWhenListed: (listing) => copyWhenListed(jobPolicy(plan, options), listing),
        limits,
        batchBytes,
        retryForMs,
        checkpoint: checkpoints,
      }).run();
    },
    close() {
      connections.close();
      opening.close();
      toNodes.close();
      verifying?.close();
    },
  };
}

/** The same mover, which takes no batch while the source refuses commands. */
function patient(mover: Mover, health: SourceHealth): Mover {
  return {
    get name() {
      return mover.name;
    },
    async move(batch) {
      await health.ready();
      const outcome = await mover.move(batch);
      const refused = outcome.retries.find(({ refusal }) => refusal !== undefined);
      if (refused?.refusal === undefined) health.accepted();
      else health.refused(refused.refusal);
      return outcome;
    },
  };
}

/** The prefix with its placeholders filled in. */
export function keyPrefix(
  options: Pick<SelectionOptions, 'keyPrefix'>,
  { endpoint }: SourcePlan['source'],
): Buffer | undefined {
  if (options.keyPrefix === undefined) return undefined;
  return filledPrefix(options.keyPrefix, endpoint.db, addressOf(endpoint));
}
