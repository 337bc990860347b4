/** A cluster and sources that are far away, on one machine (test/support/far-cluster.ts). */
import { startFarCluster } from '../../test/support/far-cluster.js';
import type { Arena } from '../types.js';

export interface FarArena extends Arena {
  /** Holds from then on, both ways together. */
  setRoundTrip(ms: number): void;
}

export async function withFarArena<T>(work: (arena: FarArena) => Promise<T>): Promise<T> {
  const far = await startFarCluster();
  try {
    return await work({
      cluster: far.cluster,
      to: far.seed,
      async reach(source) {
        const proxy = await far.proxyTo(source);
        return { from: proxy.address, close: () => proxy.stop() };
      },
      setRoundTrip: (ms) => {
        far.setRoundTrip(ms);
      },
    });
  } finally {
    await far.stop();
  }
}
