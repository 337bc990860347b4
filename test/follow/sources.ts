/**
 * What is followed: one server, several that stand alone, or the masters of a cluster. They stay up from round to
 * round.
 *
 * A server that stands alone writes each command to disk before it answers, so that what it has acknowledged is still
 * there after kill -9. A cluster keeps nothing on disk: a master that dies is replaced by its replica, and writers
 * count only what that has (sides.ts).
 */
import { everyMs, ofSource, type Servers, untilWhole } from '../chaos/servers.js';
import { mastersNow, startCluster, type TestCluster } from '../support/cluster.js';
import { type Server, startServer } from '../support/servers.js';
import { waitFor } from '../support/wait.js';

export type SourcesKind = 'one' | 'several' | 'cluster';

export interface Sources {
  /** In a round, each is behind a proxy of its own. */
  readonly servers: readonly Server[];
  /** Undefined: they stand alone. */
  readonly cluster: TestCluster | undefined;
  /** Those that take writes now. */
  masters(): Promise<readonly Server[]>;
  untilWell(): Promise<void>;
  stop(): Promise<void>;
}

/** As many stand alone in a round, at most. */
export const mostSources = 3;
/** Longer than a node may stand still in a round. */
const nodeTimeoutMs = 3000;

/** The source that belongs to the servers of other suites, too. */
export function onlySource({ source }: Pick<Servers, 'source'>): Sources {
  return standingAlone([source]);
}

export async function startSources(kind: Exclude<SourcesKind, 'one'>): Promise<Sources> {
  if (kind === 'cluster') {
    const config = ['notify-keyspace-events AKE'];
    return ofCluster(await startCluster({ replicasPerMaster: 1, nodeTimeoutMs, config }));
  }
  const starting = Array.from({ length: mostSources }, () => startServer({ config: ofSource }));
  return standingAlone(await Promise.all(starting));
}

/** Only the first of these. */
export const firstOf = (sources: Sources, count: number): Sources =>
  standingAlone(sources.servers.slice(0, count));

function standingAlone(servers: readonly Server[]): Sources {
  return {
    servers,
    cluster: undefined,
    masters: () => Promise.resolve(servers),
    async untilWell() {
      for (const { address, client } of servers) await waitFor(address, () => client.ping());
    },
    async stop() {
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}

function ofCluster(cluster: TestCluster): Sources {
  return {
    servers: cluster.nodes,
    cluster,
    masters: () => waitFor('every node to say what it is', () => mastersNow(cluster), { everyMs }),
    untilWell: () => untilWhole(cluster),
    stop: () => cluster.stop(),
  };
}
