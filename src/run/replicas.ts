/** How many replicas must have a key before the source deletes it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from '../redis/connection.js';
import { type ConnectNode, lanes } from '../redis/pool.js';
import { textOf } from '../redis/reply.js';
import type { Node } from '../types.js';
import type { MasterFacts } from '../plan/master-facts.js';
import type { SourcePlan } from '../plan/preflight.js';
import {
  isLastCopy,
  replicasToWaitFor,
  type WaitOptions,
  waitsForDisks,
} from '../plan/options-checks.js';

/** Whether any node's replicas, or a disk, are to be waited for. */
export function waitsForReplicas(plan: Pick<SourcePlan, 'target'>, options: WaitOptions): boolean {
  const { masters } = plan.target;
  return (
    waitsForDisks(options) ||
    masters.some(({ replicasInSync }) => replicasToWaitFor(replicasInSync, options) > 0)
  );
}

export interface Replicas {
  /** Opens a connection to a node, which also tells how many are to be waited for there. */
  readonly connectNode: ConnectNode;
  /** For a node that was connected to. */
  toWaitFor(node: Node): number;
}

/** How long a new master's replicas may take to follow it. */
const patienceMs = 3000;
const askEveryMs = 200;

/** How often a node that had none is asked again. */
const askAgainEveryMs = 3000;

/**
 * Knows the replicas of the masters that were there at the start, and asks those that become one
 * later: after a failover there may be none left, and a node that joins may never have had any.
 * Either may get some while keys come, so whoever has none is asked again and again.
 */
export function createReplicas(
  masters: readonly MasterFacts[],
  options: WaitOptions,
  connect: ConnectNode,
): Replicas {
  const inSync = new Map(masters.map((one) => [one.node.address, one.replicasInSync]));
  const asking = new Map<string, Promise<number>>();
  const isOpen = options.waitReplicas === undefined && isLastCopy(options);
  /** Connections for asking again: on the others values pass, and nothing may get between them. */
  const aside = lanes(connect);
  const askedAtMs = new Map<string, number>();

  async function learn({ address }: Node, connection: Connection): Promise<void> {
    // One question serves all connections that are opened at the same time.
    const asked = asking.get(address) ?? ask(connection);
    asking.set(address, asked);
    try {
      inSync.set(address, await asked);
    } finally {
      asking.delete(address);
    }
  }

  /** Its answer counts for the batches behind this one. */
  function askAgain(node: Node): void {
    const { address } = node;
    const nowMs = performance.now();
    const lastMs = askedAtMs.get(address);
    if (lastMs !== undefined && nowMs - lastMs < askAgainEveryMs) return;
    askedAtMs.set(address, nowMs);
    // What it said when it was connected to is news still.
    if (lastMs === undefined) return;
    // A node that does not answer now is asked the next time.
    void count(node).catch(() => undefined);
  }

  async function count(node: Node): Promise<void> {
    const found = await countInSync(await aside(node));
    if (found > 0) inSync.set(node.address, found);
  }

  return {
    async connectNode(node) {
      const connection = await connect(node);
      if (isOpen && !inSync.has(node.address)) await learn(node, connection);
      return connection;
    },
    toWaitFor(node) {
      const known = inSync.get(node.address) ?? 0;
      if (isOpen && known === 0) askAgain(node);
      return replicasToWaitFor(known, options);
    },
  };
}

async function ask(connection: Connection): Promise<number> {
  const untilMs = performance.now() + patienceMs;
  for (;;) {
    const count = await countInSync(connection);
    if (count > 0 || performance.now() >= untilMs) return count;
    await delay(askEveryMs);
  }
}

async function countInSync(connection: Connection): Promise<number> {
  const info = textOf(await connection.call('INFO', 'replication'));
  return [...info.matchAll(/^slave\d+:.*state=online/gm)].length;
}
