/**
 * A job that moves nothing and says what a real one says: counts that grow, the batches that ended, five times
 * a second. It stands in the place of the job's process (src/workers/job-runner.ts).
 */
import { createTally } from '../../src/engine/tally.js';
import type { BatchEvent } from '../../src/types.js';
import {
  batchesOnWire,
  type JobEnd,
  type JobNews,
  tallyOnWire,
} from '../../src/workers/job-news.js';
import type { Start, StartedJob } from '../../src/workers/job-runner.js';
import { batchOf, outcome, someKeys, sourceOf } from '../../test/support/batches.js';

/** As run-job.ts. */
const tellEveryMs = 200;
/** As the options have it, and as real runs of small keys fill it. */
const batchKeys = 512;
const valueBytes = 64;
const keys = someKeys(batchKeys);

export interface JobShape {
  readonly seconds: number;
  readonly keysPerSecond: number;
  /** How many nodes the keys go to. */
  readonly nodes: number;
}

/** @returns what begins such a job. */
export function simulatedJobs({ seconds, keysPerSecond, nodes }: JobShape) {
  const batches = Array.from({ length: nodes }, (_, at) => {
    const host = `10.0.${String(at >> 8)}.${String(at & 255)}`;
    return batchOf(keys, { node: { host, port: 7000, address: `${host}:7000` } });
  });
  const batchesInAll = Math.round((seconds * keysPerSecond) / batchKeys);

  return ({ job, hear }: Start): StartedJob => {
    const [name] = job.sources as [string];
    const source = { ...sourceOf(batchesInAll * batchKeys), name };
    const listing = { ...source, progress: 1, expectedKeys: source.estimatedKeys };
    const tally = createTally(listing, 'copy');
    const events: BatchEvent[] = [];
    tally.onBatch((event) => events.push(event));
    const startedMs = performance.now();
    let ended = 0;
    let finish: (end: JobEnd) => void = () => undefined;

    const news = (): JobNews => ({
      sources: {
        [name]: {
          tally: tallyOnWire(tally.snapshot()),
          mover: { name: 'relay', reason: 'simulated' },
          settled: null,
        },
      },
      batches: { [name]: batchesOnWire(events.splice(0)) },
      failures: {},
      warnings: [],
      log: [],
      latencySeconds: null,
      latencyLimitMs: null,
    });
    const telling = setInterval(() => {
      const due = ((performance.now() - startedMs) / 1000 / seconds) * batchesInAll;
      for (; ended < Math.min(due, batchesInAll); ended++) {
        const batch = batches[ended % nodes] as (typeof batches)[number];
        tally.started(batch);
        const bytes = batchKeys * valueBytes;
        tally.ended(batch, 'restore', outcome({ moved: batchKeys, bytes }), 2 + (ended % 97) / 7);
      }
      if (ended === batchesInAll) end();
      else hear.news(news());
    }, tellEveryMs);

    function end(): void {
      clearInterval(telling);
      finish({ sources: { [name]: { error: null, isFinal: false } }, news: news() });
    }

    return {
      ended: new Promise((resolve) => (finish = resolve)),
      obey: () => undefined,
      say: () => undefined,
      stop: end,
      expectEnd: () => undefined,
      kill: end,
    };
  };
}
