/**
 * Puts the import of one source together from its parts: connections, the source, the mover
 * (movers.ts), the pipeline. The only place where they all meet; what each one needs of the servers
 * was found out before.
 */
import type { Allowance } from '../engine/allowance.js';
import { runPipeline } from '../engine/pipeline.js';
import type { ListingRecord } from '../engine/seen-keys.js';
import { SourceError } from '../errors.js';
import { createTally, type EngineTally } from '../engine/tally.js';
import type { Throttle } from '../engine/throttle.js';
import type { MovedKeys } from '../journal/moved.js';
import type { MoverInUse } from '../monitor/sample.js';
import { createSideChannel } from '../movers/side-channel.js';
import type { Census } from '../movers/counting.js';
import { copyWhenListed } from '../movers/policy.js';
import type { ImportOptions } from '../options.js';
import { addressOf } from '../redis/endpoint.js';
import { createLink, type Link } from '../redis/link.js';
import { ErrorReply } from '../redis/reply.js';
import { createSourceHealth, refusalIn, type SourceHealth } from '../redis/source-health.js';
import { type KeysFile, keysFileSource } from '../sources/keys-file.js';
import { renamedSource } from '../sources/renamed.js';
import { scanSource } from '../sources/scan.js';
import { selectedSource, selectsAll } from '../sources/selected.js';
import type { Logger, Mover, ScanPosition } from '../types.js';
import { createCheckpoints } from './checkpoints.js';
import { chooseMover } from './choose-mover.js';
import { connectionLog, nodeConnections } from './connections.js';
import { createDistance } from './distance.js';
import type { EvictionWatch } from './eviction.js';
import type { KnownLibraries } from './functions.js';
import { jobPolicy, moverOf } from './movers.js';
import { filledPrefix } from '../preflight/options-checks.js';
import type { Ready } from '../preflight/preflight.js';
import { trialOf } from '../preflight/source-facts.js';

const batchBytes = 1024 * 1024;

/** The import of one source. */
export interface Part {
  readonly ready: Ready;
  readonly tally: EngineTally;
  readonly mover: MoverInUse;
  /** Of a scan: before it, every key is where it should be. */
  readonly settledPosition: ScanPosition | undefined;
  /** What `--dry-run` has counted. */
  readonly census: Census;
  /** Runs until the source is done, or the signal. */
  run(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** What comes from outside of the servers: from files, and from earlier runs. */
export interface Extras {
  /** Where moved keys are kept, and those of earlier runs recalled from. */
  readonly moved?: MovedKeys | undefined;
  /** Where an earlier run's scan had come to. */
  readonly startAt?: ScanPosition | undefined;
  /** Just these keys, instead of all that the source has. */
  readonly onlyKeys?: KeysFile | undefined;
}

/** What the parts of a run share. */
export interface Shared {
  readonly options: ImportOptions;
  readonly logger: Logger;
  readonly throttle: Throttle;
  /** How much may be under way at the source's server. */
  readonly allowance: Allowance;
  /** Which nodes evict keys. */
  readonly eviction: EvictionWatch;
  /** What has been listed so far. */
  readonly record: ListingRecord;
  /** What earlier runs have moved, where that must be told from new keys. */
  readonly movedEarlier: ListingRecord | undefined;
  /** The function libraries of dumps. */
  readonly libraries: KnownLibraries;
  /** For `--dry-run` of several sources: the names that they have in the cluster. */
  readonly names: ListingRecord | undefined;
}

/** Of names that several sources may have. */
export function noting(names: ListingRecord | undefined): ((name: Buffer) => boolean) | undefined {
  return names && ((name) => names.noted(name, 0, name.length));
}

/** @throws PreflightError when the mover that was asked for can't work between these servers. */
export function assemble(
  ready: Ready,
  { options, logger, throttle, allowance, eviction, record, movedEarlier, names }: Shared,
  { moved, startAt, onlyKeys }: Extras = {},
): Part {
  const choice = chooseMover(ready, options);
  const { topology } = ready.target;
  const { timeoutMs, retryForMs, copy } = options;
  const distance = createDistance();
  const connections = connectionLog(logger);
  const opening = createLink(ready.source.endpoint, {
    timeoutMs,
    retryForMs,
    mustBeWritable: !copy,
  });
  const link: Link = {
    ...opening,
    async open() {
      const linked = await opening.open();
      distance.noteSource(linked.roundTripMs);
      connections.opened(linked.connection);
      return linked;
    },
  };

  const health = createSourceHealth(link, {
    ...{ name: ready.source.name, retryForMs, logger },
    trial: trialOf(
      ready.source.has,
      copy && choice.name !== 'relay' ? { ...options, mover: 'migrate' } : options,
    ),
  });

  const toNodes = nodeConnections(topology, connections, distance, timeoutMs);
  const connectNode = eviction.cutting(toNodes, connections);

  const scan = scanSource(link, health, {
    name: ready.source.name,
    estimatedKeys: ready.source.keys,
    pageKeys: () => Math.min(distance.pageKeys(), allowance.pageKeys),
    startAt,
  });
  const all = onlyKeys ? keysFileSource(onlyKeys, ready.source.name) : scan;
  const selection = { ...options, types: options.type };
  const wanted = selectsAll(selection) ? all : selectedSource(all, link, health, selection);
  const prefix = keyPrefix(options, ready.source);
  const source = prefix === undefined ? wanted : renamedSource(wanted, prefix);
  const checkpoints =
    copy && !onlyKeys ? createCheckpoints(() => scan.position, startAt) : undefined;
  const tally = createTally(source, copy ? 'copy' : 'move');
  const aside = createSideChannel(async () => (await link.open()).connection, connectNode);
  const census: Census = { types: new Map(), present: 0, shared: 0 };
  const isHeldBack = (): boolean => throttle.isLimited || allowance.limitMs !== undefined;
  const isNoted = noting(names);
  const own = { ready, options, link, connectNode, aside, distance, census };
  const parts = { ...own, isHeldBack, isNoted, beforeDeletes: moved?.note, eviction };
  const mover: Mover & MoverInUse = moverOf(choice, parts);

  return {
    ready,
    tally,
    mover,
    census,
    get settledPosition() {
      return checkpoints?.last;
    },
    async run(signal) {
      link.heed(signal);
      health.heed(signal);
      await runPipeline({
        source,
        topology,
        mover: patient(mover, health),
        tally,
        signal,
        logger,
        record,
        movedEarlier,
        copyWhenListed: (listing) => copyWhenListed(jobPolicy(ready, options), listing),
        batchKeys: () => Math.min(allowance.pieceKeys, throttle.pieceKeys),
        batchBytes,
        inflightKeys: () => distance.inflightKeys(),
        allInflightKeys: () => allowance.keys,
        throttle,
        retryForMs,
        checkpoint: checkpoints,
        countLeft: copy || onlyKeys ? undefined : () => countKeys(link, health),
      });
    },
    close() {
      connections.close();
      mover.close();
      opening.close();
      toNodes.close();
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
    close() {
      mover.close();
    },
  };
}

/** How many keys the source has: what it does not tell must not be taken for none. */
async function countKeys(link: Link, health: SourceHealth): Promise<number> {
  for (;;) {
    const { connection } = await link.open();
    // It is closed with all the others, in the end.
    const reply = await connection.call('DBSIZE');
    if (!(reply instanceof ErrorReply)) return Number(reply);
    const refusal = refusalIn(reply.text);
    if (refusal === undefined) throw new SourceError(`the source refused DBSIZE: ${reply.text}`);
    health.refused(refusal);
    await health.ready();
  }
}

/** The prefix with its placeholders filled in. */
function keyPrefix(options: ImportOptions, { endpoint }: Ready['source']): Buffer | undefined {
  if (options.keyPrefix === undefined) return undefined;
  return filledPrefix(options.keyPrefix, endpoint.db, addressOf(endpoint));
}
