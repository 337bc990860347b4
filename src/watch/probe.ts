/**
 * What a client of the source feels: asked for on a thread of its own (probe-worker.ts), so that what
 * it reports does not depend on how busy this one is.
 */
import { Worker } from 'node:worker_threads';
import { probeWorkerFile } from '../installed.js';
import type { ProbeData, Seen } from './probe-worker.js';

export interface Probe {
  stop(): void;
}

/** @param tell is called several times a second with what was seen since. */
export function startProbe(data: ProbeData, tell: (seen: Seen) => void): Probe {
  const worker = new Worker(probeWorkerFile, { workerData: data, name: 'source-probe' });
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
