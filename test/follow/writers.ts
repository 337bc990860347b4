/** The writers of a round: how many, where each writes, and what it may do there. */
import { dialectOf } from '../chaos/writes.js';
import type { Servers } from '../chaos/servers.js';
import { randomFrom } from '../support/random.js';
import type { Server } from '../support/servers.js';
import type { Plan } from './plan.js';
import { atServer, atSourceCluster, inCluster } from './sides.js';
import type { Sources } from './sources.js';
import { Writer, type WriterOptions } from './writer.js';

/** A writer, and the server that has its keys before the cutover; undefined: a cluster has them. */
export interface PlacedWriter {
  readonly writer: Writer;
  readonly server: Server | undefined;
  /** What a key of its is called in the cluster. */
  readonly nameOf: (key: string) => string;
}

const atLeast = 4;
const ofEachServer = 2;
const ofCluster = 6;

/** @param prefixOf what stands ahead of a server's keys in the cluster. */
export async function writersOf(
  plan: Plan,
  { cluster: target }: Servers,
  { servers, cluster }: Sources,
  prefixOf: (server: Server) => string,
): Promise<readonly PlacedWriter[]> {
  const info = await servers[0]?.client.info('server');
  const common = {
    heedsRefusals: plan.switching === 'refusal',
    dialect: dialectOf(/^redis_version:(.*)/m.exec(info ?? '')?.[1] ?? ''),
  };
  const count = cluster ? ofCluster : Math.max(atLeast, ofEachServer * servers.length);
  return Array.from({ length: count }, (_, at) => {
    const random = randomFrom(plan.seed, at + 1);
    const server = cluster ? undefined : servers[at % servers.length];
    const prefix = server ? prefixOf(server) : '';
    const nameOf = (key: string): string => prefix + key;
    const where = { name: `w${String(at)}`, cluster: inCluster(target, random, nameOf) };
    const writer = new Writer(random, {
      ...common,
      ...where,
      ...(cluster
        ? ofClusterClient(at, atSourceCluster(cluster, random))
        : { source: atServer(server as Server) }),
    });
    return { writer, server, nameOf };
  });
}

/** Every other one has all of its keys in one slot: so a deed may touch several, and a slot that moves is busy. */
function ofClusterClient(
  at: number,
  source: WriterOptions['source'],
): Pick<WriterOptions, 'source' | 'hashTag' | 'severalKeys' | 'scripts'> {
  const isInOneSlot = at % 2 === 0;
  return { source, hashTag: isInOneSlot, severalKeys: isInOneSlot, scripts: false };
}
