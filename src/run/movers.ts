/**
 * Makes the mover that a run takes from what was found out about the servers: which commands and
 * words each one has, who is waited for, what must not be overwritten.
 */
import type { SideChannel } from '../movers/side-channel.js';
import { autoMover } from '../movers/auto.js';
import { Elements } from '../movers/elements/elements.js';
import { migrate, type MigrateMover } from '../movers/migrate/migrate.js';
import { durability, storeCommands, type StoreCommands } from '../movers/relay/splice.js';
import { Expiry, readClock } from '../movers/relay/deadlines.js';
import { type JobPolicy, mayOverwrite } from '../movers/policy.js';
import { relay } from '../movers/relay/relay.js';
import { guardedRemoval } from '../movers/relay/guard-by-counter.js';
import { plainRemoval, type Removal } from '../movers/relay/removal.js';
import type { Confirmation, Difference } from '../movers/relay/verify-before-delete.js';
import { AskWindow, ValueShapes } from '../movers/relay/store.js';
import { watchedRemoval } from '../movers/relay/guard-by-watch.js';
import type {
  ImportOptions,
  JobOptions,
  LimitOptions,
  PatienceOptions,
  SafetyOptions,
  TransferOptions,
} from '../options/options.js';
import type { Connection } from '../redis/connection.js';
import type { ConnectNode, Link } from '../redis/pool.js';
import type { Keys, Mover, Node } from '../types.js';
import type { Choice } from './choose-mover.js';
import type { Distance, Limits } from '../limits/limits.js';
import { demandRoom, type EvictionWatch, sparing, sparingMover } from './eviction.js';
import { type MasterFacts, usualLargestBytes } from '../plan/master-facts.js';
import type { SourcePlan } from '../plan/preflight.js';
import { createReplicas, waitsForReplicas } from './replicas.js';
import { jobModeOf } from '../plan/options-checks.js';
import type { Abilities } from '../movers/elements/writer.js';
import { createSizes, giantBytes, type Sizes } from '../redis/sizes.js';
import { oldestPayloadVersion, payloadVersionFor } from '../plan/payloads.js';
import type { ServerSourceFacts } from '../plan/source-facts.js';
import { createFirstPass } from '../compare/many.js';
import { deadlineToleranceMs } from '../compare/pair.js';
import { chosen, keyAt, namesOf } from '../redis/frames.js';
import { createServer, openCluster } from '../verify/servers.js';
import { examine } from '../verify/look.js';
import { forEach } from '../async.js';

/** How long the first key that MIGRATE moves to a node may block the source. */
const probeTimeoutMs = 500;
/** How many keys MIGRATE gets at a time while it is measured, to begin with. */
const migratePortion = { keys: 128, atOnce: 4 };
/** A connection that waits for replicas carries nothing meanwhile: the others go on. */
const lanesWhenWaiting = 4;

/** Since this version PERSIST touches watched keys. */
const firstToTellOfPersist = 60_000;

/** What the movers are made from. */
export interface MoverParts {
  readonly plan: SourcePlan;
  readonly options: JobOptions & SafetyOptions & TransferOptions & LimitOptions & PatienceOptions;
  readonly link: Link;
  readonly connectNode: ConnectNode;
  readonly aside: SideChannel;
  readonly distance: Pick<Distance, 'sourceMs'>;
  readonly limits: Limits;
  /** What has to be done before the source is told to delete keys, if anything. */
  readonly beforeDeletes: ((keys: Keys) => Promise<void>) | undefined;
  readonly eviction: EvictionWatch;
  /** For `--verify`. */
  readonly confirmation: Confirmation | undefined;
}

export function moverOf(
  { name, reason }: Choice,
  parts: MoverParts,
): Mover & { readonly reason: string } {
  const byRelay = relayOf(parts);
  const byMigrate = (): Mover => migrateOf(parts, migrateTimeoutMs(parts), byRelay);
  switch (name) {
    case 'relay':
      return { ...byRelay, reason };
    case 'migrate':
      return { ...byMigrate(), reason };
    case 'auto':
      return measuredOf(parts, byRelay, byMigrate());
  }
}

/** Whichever of both is faster, as it turns out. */
function measuredOf(
  parts: MoverParts,
  byRelay: Mover,
  byMigrate: Mover,
): ReturnType<typeof autoMover> {
  const { distance, limits } = parts;
  const aside: SideChannel = {
    ...parts.aside,
    // What a probe brings is next to nothing, and not worth waiting for: others wait for the probe.
    receivedBytes(node) {
      parts.aside.receivedBytes(node).catch(() => undefined);
      return Promise.resolve(0);
    },
  };
  const probe = migrateOf({ ...parts, aside }, probeTimeoutMs, byRelay);
  const candidates = [
    { mover: byRelay },
    {
      mover: byMigrate,
      probe,
      // A node is that far from the source, and MIGRATE would block it for each single key.
      longestCallMs: parts.options.maxBlockMs,
      portion: migratePortion,
    },
  ] as const;
  return autoMover(candidates, {
    roundTripMs: () => distance.sourceMs,
    isHeldBack: () => limits.isHeldBack,
    mustSpare: () => limits.latencyMs !== undefined,
  });
}

function relayOf({ plan, options, link, aside, limits, ...parts }: MoverParts): Mover {
  const replicas = createReplicas(plan.target.masters, options, parts.connectNode);
  const { connectNode } = replicas;
  const { has, endpoint, expiringKeys, payloadRefusal, payloadRewrite, inCluster } = plan.source;
  const allByElements = payloadRefusal !== undefined && !payloadRewrite;
  const commandsFor = wordsByNode(plan);
  const expiry = new Expiry(endpoint.db, expiringKeys);
  const word = has.unlink ? 'UNLINK' : 'DEL';
  // What is read in slices is whole only if nobody wrote meanwhile: also where the source keeps it. Where it
  // is followed, what was written to is copied again.
  const checked = allByElements && options.copy && !options.follow;
  const guarded = options.guard && (!options.copy || checked);
  const spared = (removal: Removal): Removal => sparing(parts.eviction, removal);
  const openSource = async () => {
    const { connection: source, identity: sourceRun } = await link.open();
    await readClock(source);
    return { source, sourceRun };
  };
  const watchedOver = async () => {
    const { source, sourceRun } = await openSource();
    const removal = watchedRemoval(source, {
      word: options.copy ? undefined : word,
      scripts: has.eval,
      silentPersist: plan.source.versionNumber < firstToTellOfPersist,
    });
    return { source, sourceRun, removal: after(parts.beforeDeletes, spared(removal)) };
  };
  const removalOver = (source: Connection) => {
    if (options.copy) return undefined;
    const removal = options.guard
      ? guardedRemoval(source, word, {
          sameSlot: inCluster,
          limitKeys: () => limits.removed(),
        })
      : plainRemoval(source, word, inCluster);
    return after(parts.beforeDeletes, spared(removal));
  };
  return relay({
    ...aside,
    job: jobPolicy(plan, options),
    async openMain() {
      const { source, sourceRun } = await openSource();
      return { source, sourceRun, removal: removalOver(source) };
    },
    openWatcher: guarded ? watchedOver : undefined,
    async openForElements() {
      // Where the source is followed, what was written to meanwhile is copied again.
      if (options.guard && !options.follow) return watchedOver();
      const { source, sourceRun } = await openSource();
      return { source, sourceRun, removal: removalOver(source) };
    },
    scripts: has.eval && !checked,
    elements: new Elements(
      connectNode,
      (node) => elementAbilities(plan.source, factsOf(plan, node)),
      { commandsFor, expiry },
    ),
    sizes: sizesOf(plan.source, options, allByElements, () => limits.latencyMs),
    connectNode,
    connectionsPerNode: waitsForReplicas(plan, options) ? lanesWhenWaiting : 1,
    commandsFor,
    durabilityOf: (node) =>
      durability(
        replicas.toWaitFor(node),
        options.waitFsync,
        Math.min(1000, options.timeoutMs / 2),
      ),
    expiry,
    window: new AskWindow(() => limits.asked()),
    shapes: new ValueShapes(allByElements),
    rewrite: payloadRewrite,
    sameSlot: inCluster,
    confirmation: parts.confirmation,
  });
}

/** The same removal, which begins only when this is done. */
function after(first: MoverParts['beforeDeletes'], removal: Removal): Removal {
  if (!first) return removal;
  return {
    ...removal,
    async remove(keys, ticket) {
      await first(keys);
      return removal.remove(keys, ticket);
    },
  };
}

/**
 * Much less than what we wait for the source, which serves nobody while it waits for a node that
 * hangs: two calls on end must not make it look as if it hung itself.
 */
const migrateTimeoutMs = ({ options }: MoverParts): number => Math.ceil(options.timeoutMs / 4);

/**
 * MIGRATE, which hands what it can't do itself to the relay: keys of a slot that is on its way to
 * another node are taken there only right after ASKING, keys that their node has already have to be
 * compared, and deleted at the source only if nobody wrote to them meanwhile, and a node may refuse
 * payloads.
 */
function migrateOf(
  { plan, options, link, aside, distance, beforeDeletes, eviction }: MoverParts,
  timeoutMs: number,
  byRelay: Mover,
): MigrateMover {
  const { has } = plan.source;
  const job = jobPolicy(plan, options);
  const isAsked = eviction.isLikely && !options.copy;
  const askFirst = async (keys: Keys): Promise<void> => {
    await beforeDeletes?.(keys);
    await demandRoom(eviction, keys);
  };
  const { username, password } = plan.target.topology.endpointOf({ host: '', port: 0 });
  const mover = migrate({
    ...aside,
    job: jobPolicy(plan, options),
    async openSource() {
      const { connection: source, identity: sourceRun } = await link.open();
      return { source, sourceRun };
    },
    isNarrow: (node) => (factsOf(plan, node)?.largestBytes ?? 0) < usualLargestBytes,
    severalKeys: has.migrateKeys,
    scripts: has.eval && !options.copy,
    // Before 3.0 it can't overwrite; the relay does, where that was chosen.
    replaces: has.migrateCopy,
    timeoutMs,
    maxBlockMs: options.maxBlockMs,
    roundTripMs: () => distance.sourceMs,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    otherwise: (batch) => byRelay.move(batch),
    beforeDeletes: isAsked ? askFirst : beforeDeletes,
  });
  const sending = options.copy ? mover : sparingMover(eviction, mover);
  return {
    name: mover.name,
    callMs: mover.callMs,
    move(batch) {
      // What may be at its node already, it can't compare, nor overwrite with care.
      const isSecondCopy =
        batch.copy.state === 'stored' || mayOverwrite(job, batch) === 'if-untouched';
      return (batch.asking || isSecondCopy ? byRelay : sending).move(batch);
    },
  };
}

/** What the job was asked to do, as far as it decides about single keys. */
export function jobPolicy(
  plan: Omit<SourcePlan, 'source'>,
  options: Pick<JobOptions, 'copy' | 'follow'>,
): JobPolicy {
  return {
    replace: plan.replace,
    mode: jobModeOf(options),
    clusterStartedEmpty: plan.ownsTarget,
    onlySource: plan.isOnlySource,
  };
}

/** A node that joined during the run is taken to be like the others. */
export function factsOf(
  { target }: Pick<SourcePlan, 'target'>,
  node: Node,
): MasterFacts | undefined {
  const { masters } = target;
  return masters.find((master) => master.node.address === node.address) ?? masters[0];
}

export function wordsByNode(
  plan: Pick<SourcePlan, 'target'>,
): (node: Node, overwrite: boolean) => StoreCommands {
  const known = new Map<string, StoreCommands>();
  return (node, overwrite) => {
    const id = `${node.address} ${String(overwrite)}`;
    let words = known.get(id);
    if (!words) {
      const facts = factsOf(plan, node);
      words = storeCommands(overwrite, {
        valueDeadlines: facts?.has.setPxat ?? false,
        payloadDeadlines: facts?.has.restoreAbsttl ?? false,
        skewMs: facts?.clockSkewMs ?? 0,
        largestBytes: facts?.largestBytes ?? usualLargestBytes,
      });
      known.set(id, words);
    }
    return words;
  };
}

/* What movers/elements has to know: which values are for it, and what the servers can do. */

/** Above, a value is moved by itself where all go element by element and nothing else was said. */
const aloneAboveBytes = 64 * 1024 * 1024;

/** What DUMP packs in half a millisecond, in bytes of memory. Strings are not packed. */
const gentleBytesPerMs = 100_000;

/**
 * Sizes are asked for only when --split-above was said, or while clients of the source may not have to wait
 * (limits/quiet.ts), because no piece of work is longer than one large value: MEMORY USAGE costs the source some 1.3 µs
 * a key where the whole of DUMP, PTTL and UNLINK costs 8. Where all values go element by element,
 * that is nothing beside the rest. A source that tells by itself whether there are giants (redis/sizes.ts) is
 * asked about keys only while there are.
 *
 * @param latencyMs what clients of the source may have to wait now; undefined: nobody minds.
 */
function sizesOf(
  { has, giants, db, maySlice }: ServerSourceFacts,
  { splitAboveBytes }: Pick<ImportOptions, 'splitAboveBytes'>,
  allByElements: boolean,
  latencyMs: () => number | undefined,
): Sizes {
  const memoryUsage = has.memory;
  const gentleBytes = (): number | undefined => {
    const limitMs = memoryUsage && maySlice ? latencyMs() : undefined;
    return limitMs === undefined ? undefined : limitMs * gentleBytesPerMs;
  };
  if (splitAboveBytes !== undefined) {
    return createSizes({ limitBytes: () => splitAboveBytes, ofStrings: true, memoryUsage });
  }
  if (!allByElements && giants) {
    return createSizes({
      isOptional: true,
      limitBytes: () => Math.min(gentleBytes() ?? Infinity, giantBytes),
      ofStrings: giants.strings > 0,
      memoryUsage,
      giantsOf: () => (gentleBytes() === undefined ? db : undefined),
    });
  }
  const usualBytes = allByElements && memoryUsage ? aloneAboveBytes : undefined;
  return createSizes({
    isOptional: !allByElements,
    limitBytes: () => gentleBytes() ?? usualBytes,
    ofStrings: false,
    memoryUsage,
  });
}

function elementAbilities(source: ServerSourceFacts, node: MasterFacts | undefined): Abilities {
  return {
    readsFieldDeadlines: source.has.hpexpiretime,
    takesFieldDeadlines: node?.has.hpexpiretime ?? false,
    takesStreamCounts: node?.has.streamCounts ?? false,
    createsConsumers: node?.has.createConsumer ?? false,
    unlinks: node?.has.unlink ?? false,
    payloadVersion: payloadVersionFor(node?.rdbVersion ?? oldestPayloadVersion),
    largestBytes: node?.largestBytes ?? usualLargestBytes,
    nodeSkewMs: node?.clockSkewMs ?? 0,
    sourceSkewMs: source.clockSkewMs,
  };
}

/*
 * How `--verify` compares what has arrived: as the verb `verify` does it, over connections of its own,
 * because on the others values pass through.
 */

const looksAtOnce = 16;

export function confirmation(
  { source, target }: SourcePlan,
  options: PatienceOptions,
): Confirmation & { close(): void } {
  const { timeoutMs, retryForMs } = options;
  const patience = { timeoutMs, retryForMs };
  const here = createServer(source.endpoint, source.name, patience);
  const cluster = openCluster(target.topology, patience);
  const firstPass = createFirstPass({ memoryUsage: source.has.memory });
  const look = { source: here, cluster, toleranceMs: deadlineToleranceMs, fast: false };
  const never = new AbortController().signal;

  return {
    async differences({ node, asking }, keys, isTemporary) {
      const indexes = [...Array(keys.count).keys()];
      const ends = {
        source: await here.connection(),
        node: await cluster.serverOf(node).connection(),
      };
      // A slot that is on its way is asked for where redirections lead.
      const { small, large } = asking
        ? { small: indexes, large: [] }
        : await firstPass.suspects(ends, keys, { expires: !isTemporary });
      const found: Difference[] = [];
      const suspects = [...small, ...large];
      const [some, names] = [chosen(keys, suspects), chosen(namesOf(keys), suspects)];
      await forEach(suspects, never, looksAtOnce, async (index, at) => {
        const difference = await examine(keyAt(some, at), look, keyAt(names, at));
        if (typeof difference !== 'object') return;
        if (isTemporary && difference.kind === 'ttl') return;
        found.push({ index, what: difference.message });
      });
      return found;
    },
    close() {
      here.close();
      cluster.close();
    },
  };
}
