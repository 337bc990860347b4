/** A Redis for a queue, started once for a file and empty before each test, and the workers of a test. */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type CliRun, startCli } from './cli.js';
import { type Server, type ServerOptions, startServer } from './servers.js';

export interface QueueWorkers {
  /** Can be used inside of tests. */
  readonly queue: () => Server;
  /** Resolves when it is ready. */
  readonly startWorker: (concurrency: number) => Promise<CliRun>;
}

/** To be called at the top of a test file. */
export function setQueue(options: ServerOptions = {}): QueueWorkers {
  let queue: Server;
  const workers: CliRun[] = [];
  beforeAll(async () => {
    queue = await startServer(options);
  });
  beforeEach(() => queue.client.flushall());
  afterEach(async () => {
    for (const worker of workers) worker.signal('SIGKILL');
    await Promise.all(workers.splice(0).map(({ done }) => done));
  });
  afterAll(() => queue.stop());
  return {
    queue: () => queue,
    async startWorker(concurrency) {
      const words = ['--queue', queue.address, '--concurrency', String(concurrency)];
      const worker = startCli(['worker', ...words]);
      workers.push(worker);
      await worker.output(/Ready/);
      return worker;
    },
  };
}
