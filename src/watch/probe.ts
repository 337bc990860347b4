/**
 * What a client of a server feels: asked for on a thread of its own (probe-worker.ts), so that what
 * it reports does not depend on how busy this one is.
 */
import { Worker } from 'node:worker_threads';
import { probeWorkerFile } from '../installed.js';
import type { ProbeData, Seen } from './probe-worker.js';

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
