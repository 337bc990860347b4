/**
 * The queue of jobs is BullMQ's (https://docs.bullmq.io): its jobs live in a Redis, outlive those who take
 * them, and can be looked at with its own tools. The only place that knows it; who does not use a queue
 * need not have it.
 */
import type * as bullmq from 'bullmq';
import { UsageError } from '../../errors.js';
import { openControl } from '../../redis/control.js';
import { addressOf, type Endpoint, tlsOptions } from '../../redis/endpoint.js';
import { readServerFacts } from '../../redis/server.js';
import type { JobEnd, JobNews } from '../job-news.js';
import type { SourceJob } from '../source-job.js';

/** What a worker says of a job, with the number of the attempt: of two, the later one counts. */
export interface Progress {
  readonly attempt: number;
  /** Counts what the attempt has said: it may be read more than once. */
  readonly place: number;
  readonly news: JobNews;
  /** The attempt has ended in order: nothing that it did is missing here. */
  readonly isWhole: boolean;
}

export type QueuedJob = bullmq.Job<SourceJob, JobEnd>;
export type JobQueue = bullmq.Queue<SourceJob, JobEnd>;
export type JobWorker = bullmq.Worker<SourceJob, JobEnd>;
export type QueueEvents = bullmq.QueueEvents;

/** All keys in the queue's Redis begin with it. */
export const keyPrefix = 'cluster-import';
export const queueName = 'jobs';
/** How long a worker keeps a job without a sign of life; then another one takes it. */
export const leaseMs = 15_000;

/**
 * BullMQ waits for the end of its connections, of which ioredis says nothing where they are closed while they wait to
 * be opened again.
 */
export const closedWithinMs = 2000;

/** The key that holds the token of whoever has the job (lock in BullMQ's moveToActive-11.lua). */
export function lockKeyOf(id: string): string {
  return `${keyPrefix}:${queueName}:${id}:lock`;
}

/** The hash that holds the orders of a run's jobs, by their ids. */
export function ordersKeyOf(id: string): string {
  return `${keyPrefix}:orders:${id}`;
}

/** @throws UsageError when it is not installed. */
export async function loadBullmq(): Promise<typeof bullmq> {
  try {
    return await import('bullmq');
  } catch (error) {
    throw new UsageError(
      '--queue needs the package bullmq, which is not installed: run `npm install -g bullmq ioredis`, or without -g beside cluster-import.',
      { cause: error },
    );
  }
}

/** That the queue's Redis does not have the job any more (finishedErrors, JobNotExist in BullMQ's error-code.ts). */
export function isLost(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === jobNotExist;
}

const jobNotExist = -1;

/** How BullMQ connects to the queue's Redis. It connects again for as long as it takes. */
export function connectionOf(endpoint: Endpoint) {
  return {
    host: endpoint.host,
    port: endpoint.port,
    db: endpoint.db,
    ...(endpoint.username !== undefined && { username: endpoint.username }),
    ...(endpoint.password !== undefined && { password: endpoint.password }),
    ...(endpoint.tls && { tls: tlsOptions(endpoint.host, endpoint.trust) }),
    maxRetriesPerRequest: null,
    retryStrategy: (times: number) => Math.min(times * 100, 1000),
  };
}

/**
 * That the Redis can hold a queue.
 * @returns its run id.
 * @throws UsageError when it can't, ConnectionError or RefusedError when it can't be asked.
 */
export async function checkQueue(endpoint: Endpoint, timeoutMs: number): Promise<string> {
  const control = await openControl(endpoint, { side: 'queue', timeoutMs });
  try {
    const { runId } = await readServerFacts(control);
    const info = await control.info();
    const address = addressOf(endpoint);
    if (info.get('cluster_enabled') === '1') {
      throw new UsageError(
        `--queue ${address} is a node of a cluster: name a server that stands alone.`,
      );
    }
    const policy = info.get('maxmemory_policy') ?? 'noeviction';
    if (policy !== 'noeviction' && info.get('maxmemory') !== '0') {
      throw new UsageError(
        `--queue ${address} may evict keys (maxmemory-policy ${policy}): set it to noeviction.`,
      );
    }
    return runId;
  } finally {
    control.close();
  }
}
