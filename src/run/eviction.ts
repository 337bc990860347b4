/**
 * Keeps a run from losing keys to nodes that evict. Such a node takes every key, and deletes others
 * for it, also those that the run has moved there, which are nowhere else by then.
 *
 * So before keys are deleted at the source, their node is asked what it has evicted and how much room
 * it has left. The run stops while there is still some, because what is under way gets there all the
 * same. Nodes that can't evict, by their settings, are not asked then; but all are asked once a
 * second, because settings may be changed midway. Replicas are too: one that takes over while nothing
 * is sent may have evicted by the time that anybody hears of it.
 */
import { isDoneWithin } from '../async.js';
import { StoppedError, TargetError } from '../errors.js';
import { formatBytes, formatCount } from '../format.js';
import { outcomeBuilder } from '../movers/outcome.js';
import { changed, type Removal } from '../movers/relay/removal.js';
import type { ConnectionLog, NodeConnections } from './connections.js';
import type { ImportOptions } from '../options/options.js';
import type { Facts } from '../plan/preflight.js';
import { mayExpire } from '../plan/source-facts.js';
import type { Report } from '../report.js';
import { connect, type Connection } from '../redis/connection.js';
import { parseInfo } from '../redis/control.js';
import { keyAt, namesOf, noKeys } from '../redis/frames.js';
import {
  evictsKeys,
  type MemoryFacts,
  memoryFacts,
  ownerOf,
  reserveBytes,
} from '../redis/memory.js';
import { ConnectionPool, lanes } from '../redis/pool.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import type { Keys, Mover, Node } from '../types.js';

const lookEveryMs = 1000;
/** How long the end of a run waits for what a replica says. */
const replicaPatienceMs = 1000;
/** What a look asks for; older servers take one section at a time. */
const sections = ['memory', 'stats', 'keyspace'] as const;

export interface EvictionWatch {
  /** Whether a node may evict, by what it was set to at the start. */
  readonly isLikely: boolean;
  /** Whether keys of this node may leave the source; undefined: yes, and nobody had to be asked. */
  mayLeave(node: Node): Promise<boolean> | undefined;
  /** The same for keys of one node. */
  mayAllLeave(keys: Keys): Promise<boolean> | undefined;
  /**
   * Opens connections over which keys are stored. They are cut as soon as the run must end: what is
   * still under way would make the node evict.
   */
  cutting(connections: NodeConnections, log: ConnectionLog): NodeConnections['connectNode'];
  /** @param stop called when the run must end. */
  begin(stop: () => void): void;
  /** The run has ended. @returns why it had to stop, if it had to, and what was evicted meanwhile. */
  end(): Promise<{ readonly error: string | undefined; readonly evicted: Report['evicted'] }>;
  close(): void;
}

interface Watched {
  readonly node: Node;
  /** As last heard. */
  memory: MemoryFacts | undefined;
  /** Since the start. */
  evicted: number;
  looking: Promise<boolean> | undefined;
  next: Promise<boolean> | undefined;
}

export function watchEviction(
  { target, sources }: Pick<Facts, 'target' | 'sources'>,
  {
    allowEviction,
    dryRun,
    timeoutMs,
  }: Pick<ImportOptions, 'allowEviction' | 'dryRun' | 'timeoutMs'>,
): EvictionWatch {
  const { topology, masters } = target;
  const brings = sources.some(mayExpire);
  const isWatching = !allowEviction && !dryRun;
  const all = new Map<string, Watched>();
  for (const { node, memory } of masters) watched(node).memory = memory;
  const pool = new ConnectionPool();
  const connectionTo = lanes((node: Node) =>
    pool.add(connect(topology.endpointOf(node), { timeoutMs })),
  );
  let stop: (() => void) | undefined;
  let full: Watched | undefined;
  const storing: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;

  function watched(node: Node): Watched {
    const known = all.get(node.address) ?? {
      ...{ node, memory: undefined, evicted: 0 },
      ...{ looking: undefined, next: undefined },
    };
    all.set(node.address, known);
    return known;
  }

  const isMaster = ({ address }: Node): boolean =>
    topology.masters.some((master) => master.address === address);
  const isAtRisk = ({ memory }: Watched): boolean => !memory || evictsKeys(memory, brings);
  const mustStop = (): boolean => full !== undefined || anyEvicted();
  const anyEvicted = (): boolean => [...all.values()].some(({ evicted }) => evicted > 0);

  function note(one: Watched, heard: MemoryFacts): void {
    const before = one.memory ?? heard;
    // After a restart or CONFIG RESETSTAT the server counts from 0.
    const isAnew = heard.evictedKeys < before.evictedKeys;
    one.evicted += heard.evictedKeys - (isAnew ? 0 : before.evictedKeys);
    // What INFO leaves out (before 3.2) was asked for by CONFIG at the start.
    const settings = heard.policy === undefined ? before : heard;
    one.memory = { ...heard, policy: settings.policy, limitBytes: settings.limitBytes };
    const { limitBytes, usedBytes } = one.memory;
    const isLimited = limitBytes > 0 && settings.policy !== undefined;
    const isFull = isLimited && limitBytes - usedBytes < reserveBytes(one.memory);
    // A replica's room is its master's business as long as it has one.
    if (isFull && isAtRisk(one) && isMaster(one.node)) full ??= one;
    if (isWatching && mustStop()) cut();
  }

  function cut(): void {
    stop?.();
    for (const close of storing) close();
  }

  async function ask(one: Watched): Promise<boolean> {
    let asked: Connection | undefined;
    try {
      const connection = (asked = await connectionTo(one.node));
      const replies = await Promise.all(sections.map((name) => connection.call('INFO', name)));
      const refused = replies.find((reply) => reply instanceof ErrorReply);
      if (refused) throw new TargetError(refused.text);
      note(one, memoryFacts(parseInfo(replies.map(textOf).join('\n'))));
      return !mustStop();
    } catch {
      // Whoever stores keys there meets its trouble too, and deals with it.
      asked?.close();
      return false;
    }
  }

  /** A look that begins only now; one at a time, which serves all that wait for it. */
  function look(one: Watched): Promise<boolean> {
    if (one.looking) return (one.next ??= one.looking.then(() => look(one)));
    one.next = undefined;
    one.looking = ask(one).finally(() => (one.looking = undefined));
    return one.looking;
  }

  /** Resolves when all masters have answered, or can't; replicas may take longer. */
  async function lookAtAll(): Promise<void> {
    const masters = new Set(topology.masters.map(watched));
    for (const node of topology.replicas) watched(node);
    const looks = [...all.values()].map((one) => {
      const looked = one.looking ?? look(one);
      return masters.has(one) ? looked : isDoneWithin(replicaPatienceMs, looked);
    });
    await Promise.all(looks);
  }

  function words(): string {
    const way =
      'raise its maxmemory or set maxmemory-policy noeviction, then run the same command again, or pass --allow-eviction if keys may be lost';
    const evicting = [...all.values()].filter(({ evicted }) => evicted > 0);
    if (evicting.length > 0) {
      const counts = evicting.map(({ node, evicted }) => `${node.address} ${formatCount(evicted)}`);
      return `Nodes evicted keys since the start (${counts.join(', ')}), which are lost if they were moved before that was seen: every key that was not deleted is still at the source; ${way}.`;
    }
    const { node, memory } = full as Watched & { readonly memory: MemoryFacts };
    const free = Math.max(0, memory.limitBytes - memory.usedBytes);
    return `${node.address} has ${formatBytes(free)} of its maxmemory of ${formatBytes(memory.limitBytes)} left, and would begin to evict keys (maxmemory-policy ${memory.policy ?? 'unknown'}): the run was stopped before that; ${way}.`;
  }

  const watch: EvictionWatch = {
    isLikely: isWatching && [...all.values()].some(isAtRisk),
    mayLeave(node) {
      if (!isWatching) return undefined;
      if (mustStop()) return Promise.resolve(false);
      const one = watched(node);
      return isAtRisk(one) ? look(one) : undefined;
    },
    mayAllLeave(keys) {
      if (!isWatching || keys.count === 0) return undefined;
      const node = ownerOf(keyAt(namesOf(keys), 0), topology);
      return node && watch.mayLeave(node);
    },
    cutting(connections, log) {
      storing.push(() => {
        // They are not lost: nobody opens them again.
        log.close();
        connections.close();
      });
      return async (node) => {
        if (isWatching && mustStop()) throw new TargetError(words());
        return connections.connectNode(node);
      };
    },
    begin(ended) {
      if (!isWatching) return;
      stop = ended;
      void lookAtAll();
      timer = setInterval(() => void lookAtAll(), lookEveryMs).unref();
    },
    async end() {
      clearInterval(timer);
      if (dryRun) return { error: undefined, evicted: undefined };
      const hadToStop = isWatching && mustStop();
      stop = undefined;
      await lookAtAll();
      const evicted = [...all.values()].flatMap(({ node: { address }, evicted: keys }) =>
        keys > 0 ? [{ address, keys }] : [],
      );
      const isOver = hadToStop || (isWatching && evicted.length > 0);
      return {
        error: isOver ? words() : undefined,
        evicted: evicted.length > 0 ? evicted : undefined,
      };
    },
    close() {
      clearInterval(timer);
      pool.close();
    },
  };
  return watch;
}

/** The same removal, of keys whose node does not evict; others stay, and go round again. */
export function sparing(eviction: EvictionWatch, removal: Removal): Removal {
  return {
    ...removal,
    remove(keys, ticket) {
      const asked = eviction.mayAllLeave(keys);
      if (!asked) return removal.remove(keys, ticket);
      return asked.then(async (mayLeave) => {
        if (mayLeave) return removal.remove(keys, ticket);
        // It may be one that watches the keys until it is asked to remove some.
        await removal.remove(noKeys, ticket);
        return changed;
      });
    },
  };
}

const withheld = 'its node evicts keys, or does not say whether it does';

/** @throws StoppedError when keys of one node may not leave the source. */
export async function demandRoom(eviction: EvictionWatch, keys: Keys): Promise<void> {
  if ((await eviction.mayAllLeave(keys)) === false) throw new StoppedError(withheld);
}

/** The same mover, which deletes keys as it sends them: a batch stays where its node evicts. */
export function sparingMover(eviction: EvictionWatch, mover: Mover): Mover {
  return {
    ...mover,
    async move(batch) {
      if ((await eviction.mayLeave(batch.node)) !== false) return mover.move(batch);
      const outcome = outcomeBuilder();
      outcome.retry(batch.keys, { class: 'unavailable', message: withheld });
      return outcome.build();
    },
  };
}
