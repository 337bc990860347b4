/**
 * A Redis Cluster for tests, made without `redis-cli --cluster create` and its waits: every node gets
 * its slots, all of them are introduced to each other, and we wait until each says that all is well.
 * (That takes two seconds, which every master lets pass after its start before it takes writes.)
 */
import type { Redis } from 'ioredis';
import { slotOf } from './keys.js';
import { keysAt, type Server, type ServerOptions, startServer } from './servers.js';
import { waitFor } from './wait.js';

export interface ClusterOptions extends ServerOptions {
  readonly masters?: number;
  readonly replicasPerMaster?: number;
  /**
   * How long a node may be silent before the others hold it for dead. On a busy machine every server is
   * silent now and then: only a test that waits for that verdict should make it short.
   */
  readonly nodeTimeoutMs?: number;
}

export interface ClusterNode extends Server {
  /** Its name in the cluster. */
  readonly id: string;
}

export interface TestCluster {
  readonly masters: readonly ClusterNode[];
  /** `replicas[i]` are those of `masters[i]`. */
  readonly replicas: readonly (readonly ClusterNode[])[];
  readonly nodes: readonly ClusterNode[];
  /** Address of the first master. */
  readonly seed: string;
  /** The node that owns a slot by its own account. */
  ownerOf(slot: number): Promise<ClusterNode>;
  /** A client of the node that owned this key's slot when the cluster was made. */
  clientFor(key: Buffer | string): Redis;
  /** Keys on all nodes that are masters now. */
  size(): Promise<number>;
  flush(): Promise<void>;
  stop(): Promise<void>;
}

const slotCount = 16_384;

export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const { masters: masterCount = 3, replicasPerMaster = 0 } = options;
  const count = masterCount * (1 + replicasPerMaster);
  const started = await Promise.allSettled(Array.from({ length: count }, () => startNode(options)));
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  try {
    const failed = started.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const masters = nodes.slice(0, masterCount);
    const replicas = masters.map((_, index) =>
      nodes.filter((__, at) => at >= masterCount && at % masterCount === index),
    );
    await Promise.all(masters.map((node, index) => assignSlots(node, index, masterCount)));
    await introduce(nodes);
    await Promise.all(nodes.map((node) => knowsAll(node, count, masterCount)));
    await attachReplicas(masters, replicas);
    await Promise.all(nodes.map(isWell));
    return describe(nodes, masters, replicas, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

function describe(
  nodes: readonly ClusterNode[],
  masters: readonly ClusterNode[],
  replicas: readonly (readonly ClusterNode[])[],
  stop: () => Promise<void>,
): TestCluster {
  const [first] = masters;
  if (first === undefined) throw new Error('a cluster needs masters');
  return {
    nodes,
    masters,
    replicas,
    seed: first.address,
    stop,
    ownerOf: (slot) => ownerOf(nodes, slot),
    clientFor(key) {
      const owner = masters[Math.floor((slotOf(key) * masters.length) / slotCount)];
      return (owner ?? first).client;
    },
    size: async () => keysAt(await mastersNow({ nodes })),
    async flush() {
      await Promise.all((await mastersNow({ nodes })).map((node) => node.client.flushall()));
    },
  };
}

/** A node that knows no other yet, and has no slots. */
export async function startNode(options: ClusterOptions): Promise<ClusterNode> {
  const { nodeTimeoutMs = 15_000 } = options;
  const config = [
    'cluster-enabled yes',
    `cluster-node-timeout ${String(nodeTimeoutMs)}`,
    'repl-diskless-sync yes',
    'repl-diskless-sync-delay 0',
    ...(options.tls ? ['tls-cluster yes', 'tls-replication yes'] : []),
    ...(options.config ?? []),
  ];
  const server = await startServer({ ...options, config });
  const id = String(await server.client.call('CLUSTER', 'MYID'));
  return Object.defineProperty(server, 'id', { value: id, enumerable: true }) as ClusterNode;
}

async function assignSlots(node: ClusterNode, index: number, masters: number): Promise<void> {
  // Slot s belongs to master floor(s * masters / 16384), so that clientFor needs no table.
  const first = Math.ceil((index * slotCount) / masters);
  const end = Math.ceil(((index + 1) * slotCount) / masters);
  const slots = Array.from({ length: end - first }, (_, offset) => first + offset);
  await node.client.call('CLUSTER', 'ADDSLOTS', ...slots);
  await node.client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
}

async function introduce(nodes: readonly ClusterNode[]): Promise<void> {
  const pairs = nodes.flatMap((one, at) =>
    nodes.slice(at + 1).map((other) => [one, other] as const),
  );
  await Promise.all(
    pairs.map(([one, other]) => one.client.call('CLUSTER', 'MEET', other.host, other.port)),
  );
}

async function knowsAll(node: ClusterNode, count: number, masters: number): Promise<void> {
  await waitFor(`${node.address} to know all ${String(count)} nodes`, async () => {
    const lines = String(await node.client.call('CLUSTER', 'NODES'))
      .trim()
      .split('\n');
    const withSlots = lines.filter((line) => line.split(' ').length > 8).length;
    return (
      lines.length === count && withSlots === masters && !/handshake|noaddr/.test(lines.join())
    );
  });
}

async function attachReplicas(
  masters: readonly ClusterNode[],
  replicas: readonly (readonly ClusterNode[])[],
): Promise<void> {
  const pairs = masters.flatMap((master, at) =>
    (replicas[at] ?? []).map((replica) => ({ master, replica })),
  );
  await Promise.all(
    pairs.map(async ({ master, replica }) => {
      await replica.client.call('CLUSTER', 'REPLICATE', master.id);
      await waitFor(`${replica.address} to follow its master`, async () =>
        (await replica.client.info('replication')).includes('master_link_status:up'),
      );
    }),
  );
}

/** Waits until a node says that the cluster is well. */
export async function isWell(node: ClusterNode): Promise<void> {
  await waitFor(`${node.address} to find the cluster well`, async () => {
    const info = String(await node.client.call('CLUSTER', 'INFO'));
    return info.includes('cluster_state:ok') && info.includes('cluster_slots_ok:16384');
  });
}

/** The id of a slot's owner, by what a node's list says. */
export function ownerIn(list: string, slot: number): string | undefined {
  const lines = list.split('\n').map((line) => line.split(' '));
  const found = lines.find(([, , , , , , , , ...ranges]) =>
    ranges.some((range) => {
      const [first = '', last = first] = range.split('-');
      return !range.startsWith('[') && slot >= Number(first) && slot <= Number(last);
    }),
  );
  return found?.[0];
}

async function ownerOf(nodes: readonly ClusterNode[], slot: number): Promise<ClusterNode> {
  for (const node of nodes) {
    if (ownerIn(String(await node.client.call('CLUSTER', 'NODES')), slot) === node.id) return node;
  }
  throw new Error(`nobody owns slot ${String(slot)}`);
}

/** The nodes that are masters now, whatever they were when the cluster was made. */
export async function mastersNow({
  nodes,
}: Pick<TestCluster, 'nodes'>): Promise<readonly ClusterNode[]> {
  const roles = await Promise.all(nodes.map(({ client }) => client.info('replication')));
  return nodes.filter((_, at) => roles[at]?.includes('role:master'));
}
