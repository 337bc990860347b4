/**
 * What a client of a server feels: asked for on a thread of its own (probe-worker.ts), so that what
 * it reports does not depend on how busy this one is.
 */
import { Worker } from 'node:worker_threads';
import { probeWorkerFile } from '../installed.js';
import type { ProbeData, Seen } from './probe-worker.js';
import { parseInfo } from '../redis/control.js';
import { memoryFacts } from '../redis/memory.js';
import type { ClusterTopology } from '../redis/topology.js';
import type { NodeLoad } from './sampler.js';

export interface Probe {
  stop(): void;
}

/** @param tell is called for each server, as often as `tellEveryMs` says, with what was seen since. */
export function startProbe(data: ProbeData, tell: (seen: Seen) => void): Probe {
  const worker = new Worker(probeWorkerFile, { workerData: data, name: 'probe' });
  worker.on('message', tell);
  // Without it a run is only less careful than it was asked to be, and says nothing of latency.
  worker.on('error', () => undefined);
  worker.unref();
  return {
    stop() {
      void worker.terminate();
    },
  };
}

/*
 * How much memory the nodes use, and how long they take to answer, for those who look on. Both by one question each
 * few seconds, INFO memory, from a thread of its own (probe-worker.ts): on this one an answer would wait for keys.
 */

const askEveryMs = 3000;
/** Soon after the answer is there. */
const tellEveryMs = 500;
/** A node that says nothing for so long is not known any more. */
const knownForMs = 3 * askEveryMs;

export interface NodeLoads {
  of(address: string): NodeLoad | null;
  /** To be called once a second: nodes may have come. */
  look(): void;
  stop(): void;
}

export function watchNodeLoads(
  topology: Pick<ClusterTopology, 'masters' | 'endpointOf'>,
  timeoutMs: number,
): NodeLoads {
  const loads = new Map<string, NodeLoad & { readonly atMs: number }>();
  let probe: Probe | undefined;
  let asked: readonly string[] = [];

  return {
    of(address) {
      const known = loads.get(address);
      if (!known || Date.now() - known.atMs > knownForMs) return null;
      const { memory, latencyMs } = known;
      return { memory, latencyMs };
    },
    look() {
      const nodes = topology.masters;
      const addresses = nodes.map(({ address }) => address);
      if (addresses.join() === asked.join()) return;
      asked = addresses;
      probe?.stop();
      const endpoints = nodes.map((node) => topology.endpointOf(node));
      probe = startProbe(
        { endpoints, timeoutMs, words: ['INFO', 'memory'], askEveryMs, tellEveryMs },
        ({ place, longestMs, reply }) => {
          const address = addresses[place] ?? '';
          const known = loads.get(address);
          const memory = reply === null ? (known?.memory ?? null) : memoryOf(reply);
          // That it is waited for is nothing that it says.
          const atMs = reply === null ? (known?.atMs ?? Date.now()) : Date.now();
          loads.set(address, { memory, latencyMs: longestMs, atMs });
        },
      );
    },
    stop() {
      probe?.stop();
    },
  };
}

function memoryOf(info: string): NodeLoad['memory'] {
  const { usedBytes, limitBytes } = memoryFacts(parseInfo(info));
  return { usedBytes, limitBytes: limitBytes > 0 ? limitBytes : null };
}
