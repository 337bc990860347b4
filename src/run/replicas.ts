/** How many replicas must have a key before the source deletes it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ImportOptions } from '../options.js';
import type { Connection } from '../redis/connection.js';
import { textOf } from '../redis/reply.js';
import type { Node } from '../types.js';
import type { MasterFacts } from '../preflight/master-facts.js';
import type { Ready } from '../preflight/preflight.js';
import { replicasToWaitFor, waitsForDisks } from '../preflight/waiting.js';

/** Whether any node's replicas, or a disk, are to be waited for. */
export function waitsForReplicas(ready: Pick<Ready, 'target'>, options: ImportOptions): boolean {
  const { masters } = ready.target;
  return (
    waitsForDisks(options) ||
    masters.some(({ replicasInSync }) => replicasToWaitFor(replicasInSync, options) > 0)
  );
}

export interface Replicas {
  /** Opens a connection to a node, which also tells how many are to be waited for there. */
  connectNode(node: Node): Promise<Connection>;
  /** For a node that was connected to. */
  toWaitFor(node: Node): number;
}

/** How long a new master's replicas may take to follow it. */
const patienceMs = 3000;
const askEveryMs = 200;

/**
 * Knows the replicas of the masters that were there at the start, and asks those that become one
 * later: after a failover there may be none left, and a node that joins may never have had any.
 */
export function createReplicas(
  masters: readonly MasterFacts[],
  options: ImportOptions,
  connect: (node: Node) => Promise<Connection>,
): Replicas {
  const inSync = new Map(masters.map((one) => [one.node.address, one.replicasInSync]));
  const asking = new Map<string, Promise<number>>();

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

  return {
    async connectNode(node) {
      const connection = await connect(node);
      const isOpen = options.waitReplicas === undefined && !options.copy;
      if (isOpen && !inSync.has(node.address)) await learn(node, connection);
      return connection;
    },
    toWaitFor: ({ address }) => replicasToWaitFor(inSync.get(address) ?? 0, options),
  };
}

async function ask(connection: Connection): Promise<number> {
  const untilMs = performance.now() + patienceMs;
  for (;;) {
    const info = textOf(await connection.call('INFO', 'replication'));
    const count = [...info.matchAll(/^slave\d+:.*state=online/gm)].length;
    if (count > 0 || performance.now() >= untilMs) return count;
    await delay(askEveryMs);
  }
}
