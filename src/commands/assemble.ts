/**
 * Puts a run together from its parts: connections, the source, the mover, the pipeline.
 * The only place where they all meet; what each one needs of the servers was found out before.
 */
import { runPipeline } from '../engine/pipeline.js';
import { listingRecord } from '../engine/record.js';
import { createTally, type EngineTally } from '../engine/tally.js';
import { PreflightError } from '../errors.js';
import { type Compared, compareKeys } from '../movers/compare.js';
import { migrate } from '../movers/migrate/migrate.js';
import { createExpiry } from '../movers/relay/expiry.js';
import { relay } from '../movers/relay/relay.js';
import { guardedRemoval } from '../movers/relay/removal.js';
import { newShapes } from '../movers/relay/store.js';
import { watchedRemoval } from '../movers/relay/watch.js';
import { createWindow } from '../movers/relay/window.js';
import { storeWords, type StoreWords } from '../movers/relay/words.js';
import type { ImportOptions } from '../options.js';
import { connect, type Connection } from '../redis/connection.js';
import { keyAt } from '../redis/keys.js';
import { textOf } from '../redis/reply.js';
import { scanSource } from '../sources/scan.js';
import type { Keys, Mover, MoverName, Node } from '../types.js';
import type { Ready } from './preflight.js';

const pageKeys = 1000;
const batchKeys = 256;
const batchBytes = 1024 * 1024;
const inflightKeys = 2048;
const retryForMs = 60_000;
const maxBlockMs = 10;

export interface Assembled {
  readonly tally: EngineTally;
  readonly mover: { readonly name: MoverName; readonly reason: string };
  /** Runs until the source is done, or the signal. */
  run(signal: AbortSignal): Promise<void>;
  close(): void;
}

/**
 * @throws PreflightError when the mover that was asked for can't work between these servers.
 * @throws ConnectionError when a server can't be reached any more.
 */
export async function assemble(ready: Ready, options: ImportOptions): Promise<Assembled> {
  const opened: { close(): void }[] = [];
  const close = (): void => {
    for (const one of opened) one.close();
  };
  const { topology } = ready.target;
  const timeouts = { timeoutMs: options.timeoutMs };

  async function toSource(): Promise<Connection> {
    const connection = await connect(ready.source.endpoint, timeouts);
    opened.push(connection);
    return connection;
  }
  async function toNode(node: Node): Promise<Connection> {
    const connection = await connect(topology.endpointOf(node), timeouts);
    opened.push(connection);
    return connection;
  }

  try {
    const [forScan, forKeys] = await Promise.all([toSource(), toSource()]);
    const source = scanSource(forScan, {
      name: ready.source.name,
      estimatedKeys: ready.source.keys,
      pageKeys,
    });
    const tally = createTally(source, options.copy ? 'copy' : 'move');
    const compare = comparing(toSource, toNode);
    const { name, reason } = chooseMover(ready, options);
    const word = ready.source.has.unlink ? 'UNLINK' : 'DEL';
    // Without the right to run scripts every key is moved under WATCH.
    const guard = ready.source.has.eval ? guardedRemoval(forKeys, word) : undefined;
    const removal = options.copy ? undefined : (guard ?? watchedRemoval(forKeys, word));
    const mover: Mover =
      name === 'relay'
        ? relay({
            source: forKeys,
            connectNode: toNode,
            wordsFor: wordsByNode(ready),
            durabilityOf: () => undefined,
            lanesPerNode: 1,
            overwrite: ready.replace,
            copy: options.copy,
            removal,
            watcher: async () => {
              const connection = await toSource();
              return { source: connection, removal: watchedRemoval(connection, word) };
            },
            expiry: createExpiry(ready.source.endpoint.db, ready.source.expiringKeys),
            window: createWindow(),
            shapes: newShapes(),
            compare,
            discard: discarding(toNode),
          })
        : migrate({
            source: forKeys,
            abilities: {
              keys: ready.source.has.migrateKeys,
              copy: ready.source.has.migrateCopy,
              replace: ready.source.has.migrateCopy,
            },
            overwrite: ready.replace,
            copy: options.copy,
            timeoutMs: options.timeoutMs,
            maxBlockMs,
            ...credentialsOf(ready),
            compare,
            removal,
            receivedBytes: receivedBytes(toNode),
          });
    opened.push(mover);
    return {
      tally,
      mover: { name, reason },
      close,
      run: (signal) =>
        runPipeline({
          source,
          topology,
          mover,
          tally,
          signal,
          record: listingRecord(),
          batchKeys,
          batchBytes,
          inflightKeys: () => inflightKeys,
          retryForMs,
          countLeft: options.copy
            ? undefined
            : async () => Number(await ready.source.control.call('DBSIZE')),
        }),
    };
  } catch (error) {
    close();
    throw error;
  }
}

function chooseMover(ready: Ready, options: ImportOptions): { name: MoverName; reason: string } {
  if (options.mover === 'relay') return { name: 'relay', reason: 'asked for with --mover' };
  if (options.mover === 'auto') {
    return {
      name: 'relay',
      reason: 'the source never waits for a node with it, and the nodes work side by side',
    };
  }
  const { has, version } = ready.source;
  const flag = `--mover migrate can't be used with ${ready.source.name}`;
  const way = 'leave --mover out, or say --mover relay';
  if (!has.migrate) throw new PreflightError(`${flag}: it has no command MIGRATE; ${way}.`);
  if (options.copy && !has.migrateCopy) {
    throw new PreflightError(`${flag} and --copy: MIGRATE of Redis ${version} only moves; ${way}.`);
  }
  if (ready.replace && !has.migrateCopy && !options.copy && options.replace === true) {
    throw new PreflightError(
      `${flag} and --replace: MIGRATE of Redis ${version} never overwrites; ${way}.`,
    );
  }
  return { name: 'migrate', reason: 'asked for with --mover' };
}

function credentialsOf(ready: Ready): { username?: string; password?: string } {
  const [master] = ready.target.masters;
  if (!master) return {};
  const { username, password } = ready.target.topology.endpointOf(master.node);
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  };
}

function wordsByNode(ready: Ready): (node: Node, overwrite: boolean) => StoreWords {
  const known = new Map<string, StoreWords>();
  return (node, overwrite) => {
    const id = `${node.address} ${String(overwrite)}`;
    let words = known.get(id);
    if (!words) {
      // A node that joined during the run is taken to be like the others.
      const facts =
        ready.target.masters.find((master) => master.node.address === node.address) ??
        ready.target.masters[0];
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

/** Compares over connections of its own, opened when there is first something to compare. */
function comparing(
  toSource: () => Promise<Connection>,
  toNode: (node: Node) => Promise<Connection>,
): (node: Node, keys: Keys) => Promise<Compared> {
  const toSourceOnce = reopening(() => toSource());
  const toNodes = new Map<string, () => Promise<Connection>>();
  return async (node, keys) => {
    let toThisNode = toNodes.get(node.address);
    if (!toThisNode) {
      toThisNode = reopening(() => toNode(node));
      toNodes.set(node.address, toThisNode);
    }
    return compareKeys(await toSourceOnce(), await toThisNode(), keys);
  };
}

/** Deletes keys at a node: each by a command of its own, because their slots differ. */
function discarding(
  toNode: (node: Node) => Promise<Connection>,
): (node: Node, keys: Keys) => Promise<void> {
  return async (node, keys) => {
    const connection = await toNode(node);
    const places = Array.from({ length: keys.count }, (_, place) => place);
    await Promise.all(places.map((place) => connection.call('DEL', keyAt(keys, place))));
    connection.close();
  };
}

/** What a node has received, by its own count: that is all there is to know of MIGRATE's bytes. */
function receivedBytes(
  toNode: (node: Node) => Promise<Connection>,
): (node: Node) => Promise<number> {
  const nodes = new Map<string, { connection: () => Promise<Connection>; last: number }>();
  return async (node) => {
    const known = nodes.get(node.address);
    const entry = known ?? { connection: reopening(() => toNode(node)), last: NaN };
    nodes.set(node.address, entry);
    try {
      const info = textOf(await (await entry.connection()).call('INFO', 'stats'));
      const total = Number(/total_net_input_bytes:(\d+)/.exec(info)?.[1] ?? NaN);
      const grown = total - entry.last;
      entry.last = total;
      return grown > 0 ? grown : 0;
    } catch {
      return 0;
    }
  };
}

/** One connection, opened when first asked for, and again when it was lost. */
function reopening(open: () => Promise<Connection>): () => Promise<Connection> {
  let current: Promise<Connection> | undefined;
  return () => {
    current ??= open().then((connection) => {
      connection.onLost(() => (current = undefined));
      return connection;
    });
    current.catch(() => (current = undefined));
    return current;
  };
}
