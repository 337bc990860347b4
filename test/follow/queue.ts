/**
 * The queue by which a round's run is done: its Redis, and the workers, which die, stand still and are replaced. Each of
 * them can take all jobs of the round, so that one that is left is enough.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { keyPrefix, queueName } from '../../src/workers/queue/bullmq.js';
import { type CliRun, startCli } from '../support/cli.js';
import { isGone, jobsOf } from '../support/job-processes.js';
import type { Random } from '../support/random.js';
import type { Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';

/** Each command is on disk before it is answered, so that a restart loses nothing. */
export const ofQueue = ['appendonly yes', 'appendfsync always'];

/**
 * Too short to be noticed; longer than writes are held for who says nothing; longer than a worker keeps its jobs
 * without a sign of life.
 */
const restartsLastMs = [0, 500, 2000, 5000, 18_000];
/** In which what was stopped, and is not the run's any more, has to find that out. */
const findsOutWithinMs = 60_000;

export interface WorkedQueue {
  readonly address: string;
  /** What went wrong with workers, in words. */
  readonly complaints: readonly string[];
  killWorker(random: Random): Promise<void>;
  /** A worker stands still until others may have its jobs, and wakes up again. */
  stopWorker(random: Random, trace: (what: string) => void): Promise<void>;
  /** Its Redis is killed, and is back with all that it had. */
  restart(random: Random): Promise<void>;
  /** Ends all workers. */
  stop(): Promise<void>;
}

export async function openQueue(
  queue: Server,
  workerCount: number,
  concurrency: number,
): Promise<WorkedQueue> {
  await queue.client.flushall();
  const complaints: string[] = [];
  const workers: CliRun[] = [];

  async function startWorker(): Promise<void> {
    const words = ['--queue', queue.address, '--concurrency', String(concurrency)];
    const worker = startCli(['worker', ...words, '--timeout', '1s']);
    workers.push(worker);
    await worker.output(/Ready/);
  }

  const alive = (): CliRun[] => workers.filter(({ pid }) => pid !== undefined && !isGone(pid));

  /** Who has which job, as the queue knows it. */
  async function holders(): Promise<Map<string, string | null>> {
    const keys = await queue.client.keys(`${keyPrefix}:${queueName}:*:lock`);
    const held = await Promise.all(
      keys.map(async (key) => [key, await queue.client.get(key)] as const),
    );
    return new Map(held);
  }

  async function end(worker: CliRun): Promise<void> {
    const jobs = jobsOf(worker.pid);
    worker.signal('SIGKILL');
    await worker.done;
    await waitFor('its jobs to end', () => jobs.every(isGone));
  }

  await Promise.all(Array.from({ length: workerCount }, startWorker));
  return {
    address: queue.address,
    complaints,
    async killWorker(random) {
      await end(random.pick(alive()));
      await startWorker();
    },
    async stopWorker(random, trace) {
      const worker = random.pick(alive()).pid as number;
      const before = await holders();
      const jobs = jobsOf(worker);
      for (const pid of [worker, ...jobs]) process.kill(pid, 'SIGSTOP');
      trace(`worker ${String(worker)} stands still, with ${String(jobs.length)} jobs`);
      // One may wake up when nobody has its jobs yet.
      const isTaken = random.oneIn(2);
      await waitFor('its jobs to be lost', async () => {
        const now = await holders();
        const lost = [...before].filter(([key, holder]) => {
          const next = now.get(key);
          return next !== holder && (next !== undefined || !isTaken);
        });
        const gone = [...before].filter(([key]) => !now.has(key));
        return lost.length >= jobs.length || gone.length === before.size;
      });
      trace('it wakes up');
      // The jobs first: they must find out by themselves that they are another's.
      for (const pid of jobs) process.kill(pid, 'SIGCONT');
      await waitFor('its jobs to end', () => jobs.every(isGone), {
        timeoutMs: findsOutWithinMs,
      }).catch(() => complaints.push('what was stopped went on, though others had its job'));
      process.kill(worker, 'SIGCONT');
    },
    async restart(random) {
      await queue.crash();
      await sleep(random.pick(restartsLastMs));
      await queue.revive();
    },
    async stop() {
      for (const { pid } of alive()) {
        for (const one of [...jobsOf(pid), pid as number]) process.kill(one, 'SIGCONT');
      }
      await Promise.all(alive().map(end));
    },
  };
}
