/**
 * Puts a run together from its parts: connections, the source, the mover, the pipeline.
 * The only place where they all meet; what each one needs of the servers was found out before.
 */
import { runPipeline } from '../engine/pipeline.js';
import { listingRecord } from '../engine/record.js';
import { createTally, type EngineTally } from '../engine/tally.js';
import type { MoverInUse } from '../monitor/sample.js';
import { type Aside, createAside } from '../movers/aside.js';
import { autoMover } from '../movers/auto.js';
import { createElements } from '../movers/elements/elements.js';
import { migrate } from '../movers/migrate/migrate.js';
import { durability } from '../movers/relay/durability.js';
import { createExpiry } from '../movers/relay/expiry.js';
import { relay } from '../movers/relay/relay.js';
import { guardedRemoval, plainRemoval } from '../movers/relay/removal.js';
import { newShapes } from '../movers/relay/store.js';
import { watchedRemoval } from '../movers/relay/watch.js';
import { createWindow } from '../movers/relay/window.js';
import { storeWords, type StoreWords } from '../movers/relay/words.js';
import type { ListedKeys } from '../journal/listed.js';
import type { ImportOptions } from '../options.js';
import { connect, type Connection } from '../redis/connection.js';
import { addressOf } from '../redis/endpoint.js';
import { createLink, type Link } from '../redis/link.js';
import { measureRoundTrip } from '../redis/round-trip.js';
import { type KeysFile, keysFileSource } from '../sources/keys-file.js';
import { renamedSource } from '../sources/renamed.js';
import { scanSource } from '../sources/scan.js';
import { selectedSource, selectsAll } from '../sources/selected.js';
import type { Logger, Mover, Node, ScanPosition } from '../types.js';
import { type Choice, chooseMover } from './choose-mover.js';
import { createCheckpoints } from './checkpoints.js';
import { connectionLog } from './connection-log.js';
import { createDistance, type Distance } from './distance.js';
import type { MasterFacts, Ready } from './preflight.js';
import { elementAbilities, sizesOf } from './in-slices.js';
import { replicasToWaitFor, waitsForReplicas } from './replicas.js';

const batchKeys = 512;
const batchBytes = 1024 * 1024;
/** How long the first key that MIGRATE moves to a node may block the source. */
const probeTimeoutMs = 500;
/** A connection that waits for replicas carries nothing meanwhile: the others go on. */
const lanesWhenWaiting = 4;

export interface Assembled {
  readonly tally: EngineTally;
  readonly mover: MoverInUse;
  /** Of a scan: before it, every key is where it should be. */
  readonly settledPosition: ScanPosition | undefined;
  /** Runs until the source is done, or the signal. */
  run(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** What comes from outside of the servers: from files, and from earlier runs. */
export interface Extras {
  /** Where listed keys are kept, and those of earlier runs recalled from. */
  readonly listed?: ListedKeys | undefined;
  /** Where an earlier run's scan had come to. */
  readonly startAt?: ScanPosition | undefined;
  /** Just these keys, instead of all that the source has. */
  readonly onlyKeys?: KeysFile | undefined;
}

/** What the movers are made from. */
interface Parts {
  readonly ready: Ready;
  readonly options: ImportOptions;
  readonly link: Link;
  readonly connectNode: (node: Node) => Promise<Connection>;
  readonly aside: Aside;
  readonly distance: Distance;
}

/** @throws PreflightError when the mover that was asked for can't work between these servers. */
export function assemble(
  ready: Ready,
  options: ImportOptions,
  logger: Logger,
  { listed, startAt, onlyKeys }: Extras = {},
): Assembled {
  const choice = chooseMover(ready, options);
  const { topology } = ready.target;
  const { timeoutMs, retryForMs, copy } = options;
  const toNodes = new Set<Connection>();
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

  async function connectNode(node: Node): Promise<Connection> {
    const connection = await connect(topology.endpointOf(node), { timeoutMs });
    toNodes.add(connection);
    connection.onLost(() => toNodes.delete(connection));
    connections.opened(connection);
    distance.noteNode(await measureRoundTrip(connection));
    return connection;
  }

  const scan = scanSource(link, {
    name: ready.source.name,
    estimatedKeys: ready.source.keys,
    pageKeys: () => distance.pageKeys(),
    startAt,
  });
  const all = onlyKeys ? keysFileSource(onlyKeys, ready.source.name) : scan;
  const selection = { ...options, types: options.type };
  const wanted = selectsAll(selection) ? all : selectedSource(all, link, selection);
  const prefix = keyPrefix(options, ready.source);
  const named = prefix === undefined ? wanted : renamedSource(wanted, prefix);
  const record = listingRecord();
  const source = listed ? listed.watch(named, record) : named;
  const checkpoints =
    copy && !onlyKeys ? createCheckpoints(() => scan.position, startAt) : undefined;
  const tally = createTally(source, copy ? 'copy' : 'move');
  const aside = createAside(async () => (await link.open()).connection, connectNode);
  const mover = moverOf(choice, { ready, options, link, connectNode, aside, distance });

  return {
    tally,
    mover,
    get settledPosition() {
      return checkpoints?.last;
    },
    async run(signal) {
      await listed?.recall(record);
      await runPipeline({
        source,
        topology,
        mover,
        tally,
        signal,
        logger,
        record,
        batchKeys,
        batchBytes,
        inflightKeys: () => distance.inflightKeys(),
        retryForMs,
        checkpoint: checkpoints,
        countLeft:
          copy || onlyKeys
            ? undefined
            : async () => Number(await (await link.open()).connection.call('DBSIZE')),
      });
    },
    close() {
      connections.close();
      mover.close();
      opening.close();
      for (const connection of toNodes) connection.close();
    },
  };
}

/** The prefix with its placeholders filled in. */
function keyPrefix(options: ImportOptions, { endpoint }: Ready['source']): Buffer | undefined {
  if (options.keyPrefix === undefined) return undefined;
  const text = options.keyPrefix
    .replaceAll('{db}', String(endpoint.db))
    .replaceAll('{from}', addressOf(endpoint));
  return Buffer.from(text);
}

function moverOf(choice: Choice, parts: Parts): Mover & { readonly reason: string } {
  if (choice.name === 'auto') {
    return autoMover([
      { mover: relayOf(parts) },
      { mover: migrateOf(parts, parts.options.timeoutMs), probe: migrateOf(parts, probeTimeoutMs) },
    ]);
  }
  const { reason } = choice;
  const mover =
    choice.name === 'relay' ? relayOf(parts) : migrateOf(parts, parts.options.timeoutMs);
  return { ...mover, reason };
}

function relayOf({ ready, options, link, connectNode, aside, distance }: Parts): Mover {
  const { has, endpoint, expiringKeys } = ready.source;
  const word = has.unlink ? 'UNLINK' : 'DEL';
  const { payloadRefusal, startedEmpty } = ready.target;
  // What is read in slices is whole only if nobody wrote meanwhile: also where the source keeps it.
  const checked = payloadRefusal !== undefined && options.copy;
  const guarded = options.guard && (!options.copy || checked);
  const watchedOver = async () => {
    const { connection: source } = await link.open();
    return { source, removal: watchedRemoval(source, options.copy ? undefined : word) };
  };
  const removalOver = (source: Connection) => {
    if (options.copy) return undefined;
    return options.guard ? guardedRemoval(source, word) : plainRemoval(source, word);
  };
  return relay({
    ...aside,
    startedEmpty,
    async openMain() {
      const { connection: source } = await link.open();
      return { source, removal: removalOver(source) };
    },
    openWatcher: guarded ? watchedOver : undefined,
    async openApart() {
      if (options.guard) return watchedOver();
      const { connection: source } = await link.open();
      return { source, removal: removalOver(source) };
    },
    scripts: has.eval && !checked,
    elements: createElements(connectNode, (node) =>
      elementAbilities(ready.source, factsOf(ready, node)),
    ),
    sizes: sizesOf(ready.source, options, payloadRefusal !== undefined),
    connectNode,
    lanesPerNode: waitsForReplicas(ready, options) ? lanesWhenWaiting : 1,
    wordsFor: wordsByNode(ready),
    durabilityOf: (node) =>
      durability(
        replicasToWaitFor(factsOf(ready, node), options),
        options.waitFsync,
        Math.min(1000, options.timeoutMs / 2),
      ),
    overwrite: ready.replace,
    copy: options.copy,
    expiry: createExpiry(endpoint.db, expiringKeys),
    window: createWindow(() => distance.askedKeys()),
    shapes: newShapes(payloadRefusal !== undefined),
  });
}

/**
 * MIGRATE, which hands what it can't do itself to the relay: keys of a slot that is on its way to
 * another node are taken there only right after ASKING.
 */
function migrateOf(parts: Parts, timeoutMs: number): Mover {
  const { ready, options, link, aside } = parts;
  const { has } = ready.source;
  const { username, password } = ready.target.topology.endpointOf({ host: '', port: 0 });
  const word = has.unlink ? 'UNLINK' : 'DEL';
  const mover = migrate({
    ...aside,
    startedEmpty: ready.target.startedEmpty,
    async openSource() {
      const { connection: source } = await link.open();
      return { source, removal: options.copy ? undefined : guardedRemoval(source, word) };
    },
    severalKeys: has.migrateKeys,
    // Before 3.0 it can't overwrite; what is there already is compared then.
    overwrite: ready.replace && has.migrateCopy,
    copy: options.copy,
    timeoutMs,
    maxBlockMs: options.maxBlockMs,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  });
  let asking: Mover | undefined;
  return {
    name: mover.name,
    move: (batch) => (batch.asking ? (asking ??= relayOf(parts)) : mover).move(batch),
    close() {
      mover.close();
      asking?.close();
    },
  };
}

/** A node that joined during the run is taken to be like the others. */
function factsOf(ready: Ready, node: Node): MasterFacts | undefined {
  const { masters } = ready.target;
  return masters.find((master) => master.node.address === node.address) ?? masters[0];
}

function wordsByNode(ready: Ready): (node: Node, overwrite: boolean) => StoreWords {
  const known = new Map<string, StoreWords>();
  return (node, overwrite) => {
    const id = `${node.address} ${String(overwrite)}`;
    let words = known.get(id);
    if (!words) {
      const facts = factsOf(ready, node);
      words = storeWords(overwrite, {
        valueDeadlines: facts?.has.setPxat ?? false,
        payloadDeadlines: facts?.has.restoreAbsttl ?? false,
        skewMs: facts?.clockSkewMs ?? 0,
      });
      known.set(id, words);
    }
    return words;
  };
}
