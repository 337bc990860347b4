/**
 * The servers of the rounds: a source and a cluster, which stay up from round to round.
 *
 * What has acknowledged a write must still have it after kill -9, or there would be nothing to hold
 * the import to: the source and the nodes of a cluster without replicas write each command to disk
 * before they answer. A cluster with replicas keeps nothing on disk; the import waits for one of them.
 */
import type { Redis } from 'ioredis';
import {
  type ClusterNode,
  isWell,
  mastersNow,
  startCluster,
  type TestCluster,
} from '../support/cluster.js';
import { type Server, type ServerOptions, startServer } from '../support/servers.js';
import { waitFor } from '../support/wait.js';

/** How often servers are asked for what takes them seconds: each question costs them some. */
export const everyMs = 50;

export type Durability = 'disks' | 'replicas';

export interface Servers {
  readonly durability: Durability;
  /** The first of the sources, and most often the only one. */
  readonly source: Server;
  readonly sources: readonly Server[];
  readonly cluster: TestCluster;
  /** The nodes that own slots now. */
  masters(): Promise<readonly ClusterNode[]>;
  /** Waits until every server is up, and every replica follows its master. */
  untilWell(): Promise<void>;
  /** Nothing is anywhere. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

const onDisk = ['appendonly yes', 'appendfsync always'];
/** It may be followed by its notifications. */
export const ofSource = [...onDisk, 'notify-keyspace-events AKE'];

/**
 * @param source another redis-server for the sources, say an older version, and further lines of its configuration.
 * @param sourceCount how many of them.
 */
export async function startServers(
  durability: Durability,
  source?: Pick<ServerOptions, 'binary' | 'config'>,
  sourceCount = 1,
): Promise<Servers> {
  const config = [...ofSource, ...(source?.config ?? [])];
  const [sources, cluster] = await Promise.all([
    Promise.all(Array.from({ length: sourceCount }, () => startServer({ ...source, config }))),
    startCluster({
      masters: 3,
      replicasPerMaster: durability === 'replicas' ? 1 : 0,
      nodeTimeoutMs: durability === 'replicas' ? 1000 : 5000,
      config: durability === 'replicas' ? [] : onDisk,
    }),
  ]);

  /** One that another track has just killed answers later. */
  const masters = (): Promise<readonly ClusterNode[]> =>
    waitFor('every node to say what it is', () => mastersNow(cluster));

  async function untilWell(): Promise<void> {
    await untilWhole(cluster);
    await Promise.all(sources.map(({ client }) => waitFor('the source', () => client.ping())));
  }

  return {
    durability,
    source: sources[0] as Server,
    sources,
    cluster,
    masters,
    untilWell,
    async clear() {
      const everybody = [...sources, ...(await masters())];
      await Promise.all(everybody.map(({ client }) => client.flushall()));
    },
    async stop() {
      await Promise.all([...sources, cluster].map((one) => one.stop()));
    },
  };
}

/** Waits until every node finds the cluster well, and every replica follows its master. */
export async function untilWhole(cluster: TestCluster): Promise<void> {
  await Promise.all(cluster.nodes.map(isWell));
  const isFollowed = async (): Promise<boolean> => {
    const all = await Promise.all(cluster.nodes.map(({ client }) => replication(client)));
    const replicas = all.filter((info) => info.includes('role:slave'));
    return (
      replicas.length === cluster.nodes.length - cluster.masters.length &&
      replicas.every((info) => info.includes('master_link_status:up'))
    );
  };
  await waitFor('every replica to follow its master', isFollowed, { everyMs });
}

function replication(client: Redis): Promise<string> {
  return client.info('replication');
}
