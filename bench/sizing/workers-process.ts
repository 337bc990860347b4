/**
 * A process with many workers of a queue, whose jobs are simulated (simulated-job.ts). The rest of them is real:
 * each has its own connections, takes jobs by BullMQ, keeps its lease, reads its orders, and tells each second.
 */
import type { Endpoint } from '../../src/redis/endpoint.js';
import { startQueueWorker } from '../../src/workers/queue/queue-worker.js';
import { type JobShape, simulatedJobs } from './simulated-job.js';

const [given = ''] = process.argv.slice(2);
const { queue, workers, ...shape } = JSON.parse(given) as WorkersOptions;
const start = simulatedJobs(shape);
const nothing = (): void => undefined;
const warn = (_: object, sentence: string): void => {
  console.error(sentence);
};

export interface WorkersOptions extends JobShape {
  readonly queue: Endpoint;
  readonly workers: number;
}

await Promise.all(
  Array.from({ length: workers }, () =>
    startQueueWorker({
      queue,
      concurrency: 1,
      timeoutMs: 60_000,
      secrets: {},
      logger: { debug: nothing, info: nothing, warn, error: warn },
      watch: nothing,
      start,
    }),
  ),
);
process.send?.('ready');
process.once('disconnect', () => process.exit(0));
