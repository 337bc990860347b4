/**
 * Takes jobs from the queue and runs each in a process of its own. A job belongs to it for as long as the
 * queue's Redis says so: the process looks there before it uses a connection (redis/identity.ts), and is
 * ended here as soon as the job is somebody else's.
 */
import { isDoneWithin } from '../../async.js';
import type { Endpoint } from '../../redis/endpoint.js';
import { reopenedControl } from '../../redis/control.js';
import type { Logger } from '../../types.js';
import { batchesOf, batchesOnWire, type JobEnd, type JobNews } from '../job-news.js';
import { type RunningJob, startJob } from '../job-runner.js';
import { endWithNothing, type JobSecrets } from '../source-job.js';
import {
  closedWithinMs,
  connectionOf,
  isLost,
  type JobWorker,
  keyPrefix,
  leaseMs,
  loadBullmq,
  lockKeyOf,
  ordersKeyOf,
  type Progress,
  type QueuedJob,
  queueName,
} from './bullmq.js';
import { type FollowingLine, meetLead } from './queue-follow.js';
import type { Orders } from './queue-runner.js';

/** Each costs the queue's Redis a write, and whoever watches a message. */
const tellEveryMs = 1000;
const lookEveryMs = 500;
const stalledEveryMs = 5000;
/** It is never the job's fault that whoever had it is lost. */
const mostStalls = 1_000_000_000;

/** What a job goes by until its coordinator has said something. */
const noOrders: Orders = {
  keysPerSecond: null,
  bytesPerSecond: null,
  sourceLatencyMs: 'off',
  measuresLatency: false,
  isPaused: false,
  followPhase: null,
  isStopped: false,
  session: null,
};

export interface QueueWorkerOptions {
  readonly queue: Endpoint;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly secrets: JobSecrets;
  readonly logger: Logger;
  /** Is told of a job's sources as they stand; undefined once it has ended. */
  readonly watch: (sources: readonly string[], news: JobNews | undefined) => void;
  /** Begins a job; a process for each, if left out. */
  readonly start?: typeof startJob;
}

export interface QueueWorker {
  /** Takes no more jobs; those under way are given back to the queue, and go on elsewhere. */
  close(): Promise<void>;
}

export async function startQueueWorker(options: QueueWorkerOptions): Promise<QueueWorker> {
  const { queue, concurrency, timeoutMs, secrets, logger, watch, start = startJob } = options;
  const { Worker } = await loadBullmq();
  /** Jobs that wait for their coordinator. */
  const meeting = new Set<{ stop(): void }>();
  const running = new Map<string, RunningJob & { kill(): void }>();
  const control = reopenedControl(queue, { side: 'queue', timeoutMs });
  let isClosing = false;

  async function ordersOf(id: string): Promise<Orders | undefined> {
    const text = await control.call('GET', ordersKeyOf(id)).catch(() => undefined);
    return typeof text === 'string' ? (JSON.parse(text) as Orders) : undefined;
  }

  /**
   * Meets the coordinator that is there, for a job that follows.
   * @returns undefined: the job is to end. @throws Error when the job has to begin anew.
   */
  async function lineOf(
    id: string,
    token: string,
    { isStopped, session }: Orders,
  ): Promise<FollowingLine | undefined> {
    if (isStopped) return undefined;
    if (session === null) throw new Error('no coordinator has said anything yet');
    const enough = new AbortController();
    const waiting = {
      stop: () => {
        enough.abort(new Error('its worker was stopped'));
      },
    };
    meeting.add(waiting);
    const stopped = new AbortController();
    const looking = setInterval(() => {
      void ordersOf(id).then((orders) => {
        if (orders?.isStopped === true) stopped.abort();
        const isAnother = orders !== undefined && orders.session !== session;
        if (stopped.signal.aborted || isAnother) {
          enough.abort(new Error('another coordinator goes on'));
        }
      });
    }, lookEveryMs);
    try {
      return await meetLead(queue, { id, token, session }, timeoutMs, enough.signal, () => {
        running.get(id)?.kill();
        enough.abort(new Error('the queue has lost what was said'));
      });
    } catch (error) {
      if (stopped.signal.aborted) return undefined;
      throw error;
    } finally {
      clearInterval(looking);
      meeting.delete(waiting);
    }
  }

  /** @throws Error when the job has to begin anew. */
  async function work(queued: QueuedJob, token: string): Promise<JobEnd> {
    const { data } = queued;
    // It counts on where the queue's Redis has lost what it knew of attempts before.
    const attempt = data.attempt + queued.attemptsStarted - 1;
    const id = queued.id ?? '';
    const known = queued.progress as Progress | number;
    const before = typeof known === 'object' ? known.news.sources : data.before;
    let orders = (await ordersOf(id)) ?? noOrders;
    const line = data.follow ? await lineOf(id, token, orders) : undefined;
    if (data.follow && !line) return endWithNothing(data);
    const job = { ...data, attempt, before, ...line?.soFar };
    let place = 0;
    const unsent = collected();
    // Of an attempt whose worker was lost, some may be missing; of one that began and said nothing, all is.
    const isWhole = attempt === 1 || (typeof known === 'object' && known.isWhole);
    const warnings = isWhole ? [] : [uncounted(job.name)];
    logger.info({ job: job.name, attempt }, `importing ${job.name}`);
    const begun = start({
      ...{ job, secrets, orders },
      lease: { endpoint: queue, key: lockKeyOf(id), token, timeoutMs },
      othersLastMs: leaseMs,
      hear: {
        news(news) {
          unsent.add({ ...news, warnings: [...warnings.splice(0), ...news.warnings] });
          watch(job.sources, news);
        },
        said(said) {
          line?.say(said);
        },
        begins: () => Promise.resolve(undefined),
      },
    });
    running.set(id, begun);
    line?.onSaid((said) => {
      begun.say(said);
    });
    const send = async (isLast: boolean): Promise<void> => {
      const news = unsent.take();
      // What can't be said now is said with the next news.
      if (news) {
        place++;
        await queued
          .updateProgress({ attempt, place, news, isWhole: isLast })
          .catch((error: unknown) => {
            unsent.putBack(news);
            // The coordinator gives it to somebody anew.
            if (isLost(error)) begun.kill();
          });
      }
    };
    const telling = setInterval(() => void send(false), tellEveryMs);
    const looking = setInterval(() => {
      void ordersOf(id).then((next) => {
        if (!next || JSON.stringify(next) === JSON.stringify(orders)) return;
        // Another coordinator knows nothing of what this attempt was told.
        if (next.session !== orders.session) begun.kill();
        orders = next;
        begun.obey(next);
        if (next.isStopped) begun.stop();
      });
    }, lookEveryMs);
    if (orders.isStopped) begun.stop();
    try {
      const ended = await begun.ended;
      if ('died' in ended) throw new Error(`the process that imports it died (${ended.died})`);
      // It was well once: what is away now may be back in a moment.
      if ('refused' in ended && attempt > 1) throw new Error(ended.refused);
      if ('refused' in ended) return ended;
      clearInterval(telling);
      unsent.add({ ...ended.news, warnings: [...warnings.splice(0), ...ended.news.warnings] });
      // So that it counts also where the queue's Redis is away and another worker looks the job over.
      await send(true);
      if (isClosing && !orders.isStopped) throw new Error('its worker was stopped');
      return { ...ended, news: withoutEvents(ended.news) };
    } finally {
      clearInterval(telling);
      clearInterval(looking);
      running.delete(id);
      await line?.close();
      watch(job.sources, undefined);
      logger.info({ job: job.name, attempt }, `done with ${job.name}`);
    }
  }

  const worker: JobWorker = new Worker(
    queueName,
    async (queued: QueuedJob, token?: string) => work(queued, token ?? ''),
    {
      connection: connectionOf(queue),
      prefix: keyPrefix,
      concurrency,
      lockDuration: leaseMs,
      stalledInterval: stalledEveryMs,
      maxStalledCount: mostStalls,
      drainDelay: 1,
    },
  );
  let trouble: string | undefined;
  worker.on('error', ({ message }) => {
    if (message === trouble) return;
    trouble = message;
    logger.warn({ reason: message }, "the queue's Redis is away, or refuses");
  });
  worker.on('ready', () => {
    if (trouble !== undefined) logger.info({}, "the queue's Redis is back");
    trouble = undefined;
  });
  worker.on('lockRenewalFailed', (ids) => {
    // Another worker may have them by now.
    for (const id of ids) running.get(id)?.kill();
  });
  await worker.waitUntilReady();

  return {
    async close() {
      isClosing = true;
      for (const one of [...running.values(), ...meeting]) one.stop();
      const ends = [...running.values()].map(({ ended }) => ended);
      const closing = worker.close();
      await Promise.all(ends);
      // Where the queue's Redis is away, jobs that it can't be given back are taken over later.
      await isDoneWithin(ends.length === 0 ? closedWithinMs : timeoutMs, closing);
      control.close();
    },
  };
}

function uncounted(name: string): string {
  return `The worker that imported ${name} was lost, and another one went on: keys that it had moved since it was last heard are not counted.`;
}

/** News that are still to be sent: the latest state, and all events since. */
function collected() {
  let state: JobNews | undefined;
  return {
    add(news: JobNews) {
      state = this.with(news);
    },
    /** These news with all that was not sent before them. */
    with(news: JobNews): JobNews {
      if (!state) return news;
      return {
        ...news,
        batches: joined(state.batches, news.batches, (before, now) =>
          batchesOnWire([...batchesOf(before), ...batchesOf(now)]),
        ),
        failures: joined(state.failures, news.failures, (before, now) => [...before, ...now]),
        warnings: [...state.warnings, ...news.warnings],
        log: [...state.log, ...news.log],
        latencySeconds: news.latencySeconds ?? state.latencySeconds,
      };
    },
    take() {
      const taken = state;
      state = undefined;
      return taken;
    },
    putBack(news: JobNews) {
      const later = state;
      state = news;
      if (later) state = this.with(later);
    },
  };
}

/** Events were sent already. */
function withoutEvents(news: JobNews): JobNews {
  return { ...news, batches: {}, failures: {}, warnings: [], log: [] };
}

/** @param join makes one of what both have of a source. */
function joined<T>(
  before: Readonly<Record<string, T>>,
  now: Readonly<Record<string, T>>,
  join: (before: T, now: T) => T,
): Readonly<Record<string, T>> {
  const all = { ...before };
  for (const [name, one] of Object.entries(now)) {
    const earlier = all[name];
    all[name] = earlier === undefined ? one : join(earlier, one);
  }
  return all;
}
