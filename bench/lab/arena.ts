/** The cluster that trials run against, reached directly. */
import { startCluster } from '../../test/support/cluster.js';
import type { Arena } from '../types.js';

/** Runs some work with a cluster of three masters, and stops it whatever becomes of it. */
export async function withArena<T>(work: (arena: Arena) => Promise<T>): Promise<T> {
  const cluster = await startCluster();
  try {
    return await work({
      cluster,
      to: cluster.seed,
      reach: (source) => Promise.resolve({ from: source.address, close: () => Promise.resolve() }),
    });
  } finally {
    await cluster.stop();
  }
}
