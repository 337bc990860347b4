/** Two more sources beside the stage's, started once for a file and empty before each test: a sharded set-up. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { type Snapshot, snapshotOfAll } from './compare.js';
import { type Server, startServer } from './servers.js';
import type { Stage } from './stage.js';

export interface Shards {
  /** Those beside the stage's own source. */
  readonly shards: readonly Server[];
  readonly all: () => Server[];
  /** `--from … --from … --from … --to …` */
  readonly endpoints: () => string[];
  /** What the cluster holds. */
  readonly arrived: () => Promise<Snapshot>;
}

/** To be called at the top of a test file, behind `setStage`. */
export function setShards(stage: Stage): Shards {
  const shards: Server[] = [];
  beforeAll(async () => {
    shards.push(...(await Promise.all([startServer(), startServer()])));
  });
  beforeEach(() => Promise.all(shards.map(({ client }) => client.flushall())));
  afterAll(() => Promise.all(shards.map((shard) => shard.stop())));
  const all = (): Server[] => [stage.source, ...shards];
  return {
    shards,
    all,
    endpoints: () => [
      ...all().flatMap(({ address }) => ['--from', address]),
      ...['--to', stage.cluster.seed],
    ],
    arrived: () => snapshotOfAll(clientsOf(stage.cluster.masters)),
  };
}

export function clientsOf(servers: readonly Pick<Server, 'client'>[]): Server['client'][] {
  return servers.map(({ client }) => client);
}
