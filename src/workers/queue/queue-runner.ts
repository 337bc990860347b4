/**
 * Runs jobs by way of the queue: puts them there, hears what workers say of them, and tells workers what
 * holds. A coordinator that is started again finds its jobs there, those that are under way and those that
 * have ended meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isDoneWithin } from '../../async.js';
import { addressOf, type Endpoint } from '../../redis/endpoint.js';
import { reopenedControl } from '../../redis/control.js';
import type { JobEnd, JobNews, JobOrders } from '../job-news.js';
import type { Death, HearJob, JobRunner } from '../job-runner.js';
import { endWithNothing, type SourceJob } from '../source-job.js';
import {
  closedWithinMs,
  connectionOf,
  type JobQueue,
  keyPrefix,
  leaseMs,
  loadBullmq,
  ordersKeyOf,
  type Progress,
  queueName,
  type QueueEvents,
} from './bullmq.js';
import { type LeadLine, openLeadLine } from './queue-follow.js';

/** Tries of a job that fails, or whose worker is stopped; one whose worker is lost begins anew as often as it takes. */
const attempts = 1000;
const againAfterMs = 1000;
/**
 * So much of what workers say the queue's Redis keeps for those who have fallen behind: each is some kilobytes, and a
 * hundred workers say a hundred things a second.
 */
const keptEvents = 2000;
/** For what was said while nobody listened, or the queue's Redis was away. */
const lookEveryMs = 5000;
/** Whether the queue's Redis is there, while jobs are to end. */
const askEveryMs = 1000;

interface Waiting {
  readonly job: SourceJob;
  readonly hear: HearJob;
  readonly end: (how: JobEnd | Death) => void;
  /** What its sources had come to when they were last heard of. */
  sources: JobNews['sources'] | undefined;
  /** Of what was heard last; 0: no worker was seen to have it. */
  attempt: number;
  place: number;
  heardAtMs: number;
  orders: Orders;
  readonly line: LeadLine | undefined;
  isExpectedToEnd: boolean;
  /** The orders as they stand in the queue's Redis, or are on their way there; undefined: none are. */
  told: string | undefined;
}

/** What a worker reads: null limits, pause, and whether it is to end. */
export type Orders = JobOrders & {
  readonly isStopped: boolean;
  /** Of the coordinator, where the job's sources are followed; null: they are not. */
  readonly session: string | null;
};

export async function openQueueRunner(endpoint: Endpoint, timeoutMs: number): Promise<JobRunner> {
  const { Queue, QueueEvents: Events } = await loadBullmq();
  const options = {
    connection: connectionOf(endpoint),
    prefix: keyPrefix,
    streams: { events: { maxLen: keptEvents } },
  };
  const queue: JobQueue = new Queue(queueName, options);
  const events: QueueEvents = new Events(queueName, options);
  const waiting = new Map<string, Waiting>();
  /** They stay in the queue until the run is over: a coordinator that is started again reads there how they ended. */
  const ended = new Set<string>();
  /** Of these, those that were not heard to their end. */
  const unheard = new Set<string>();
  const control = reopenedControl(endpoint, { side: 'queue', timeoutMs });
  let isClosed = false;
  // They connect again by themselves; until then nothing is heard, and the view says that it stalls.
  queue.on('error', () => undefined);
  events.on('error', () => undefined);
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);

  events.on('progress', ({ jobId, data }) => {
    hearProgress(jobId, data as Progress);
  });
  events.on('completed', ({ jobId, returnvalue }) => {
    const value: unknown = returnvalue;
    finish(jobId, (typeof value === 'string' ? JSON.parse(value) : value) as JobEnd);
  });
  events.on('failed', ({ jobId, failedReason }) => {
    finish(jobId, { refused: failedReason });
  });
  const looking = setInterval(() => {
    for (const [id, one] of waiting) void look(id, one, false).catch(() => undefined);
  }, lookEveryMs);

  function hearProgress(id: string, progress: Progress): void {
    const one = waiting.get(id);
    if (!one || progress.attempt < one.attempt) return;
    if (progress.attempt === one.attempt && progress.place <= one.place) return;
    one.attempt = progress.attempt;
    one.place = progress.place;
    one.heardAtMs = performance.now();
    one.sources = progress.news.sources;
    one.hear.news(progress.news);
  }

  function finish(id: string, end: JobEnd | Death): void {
    const one = waiting.get(id);
    if (!one) return;
    waiting.delete(id);
    ended.add(id);
    void one.line?.close();
    one.end(end);
  }

  /**
   * What events have not told: how it ended, or that the queue's Redis has forgotten it. Its state is little to
   * ask for; the job with all of its news only where something may have been missed.
   */
  async function look(id: string, one: Waiting, isFirst: boolean): Promise<void> {
    const state = await queue.getJobState(id);
    if (!waiting.has(id)) return;
    // The queue's Redis has come back empty.
    const isLost = state === 'unknown';
    if (isLost) one.told = undefined;
    await order(id, one);
    if (isLost) await put(id, onceMore(one));
    if (state === 'active') one.attempt ||= 1;
    const isQuiet = performance.now() - one.heardAtMs >= lookEveryMs;
    const isEnded = state === 'completed' || state === 'failed';
    if (!isFirst && !isEnded && !(one.attempt > 0 && isQuiet)) return;
    const known = await queue.getJob(id);
    if (!known) return;
    const progress = known.progress as Progress | number;
    if (typeof progress === 'object') hearProgress(id, progress);
    if (state === 'completed') finish(id, known.returnvalue);
    else if (state === 'failed') finish(id, { refused: known.failedReason });
  }

  /** Once workers have lost all jobs for want of the queue's Redis, nobody says any more that one has ended. */
  async function endWithoutQueue(id: string, one: Waiting): Promise<void> {
    if (one.isExpectedToEnd) return;
    one.isExpectedToEnd = true;
    let heardAtMs = performance.now();
    while (waiting.has(id)) {
      const isThere = await control.call('PING').then(
        () => true,
        () => false,
      );
      if (isThere) heardAtMs = performance.now();
      else if (performance.now() - heardAtMs > leaseMs) {
        unheard.add(id);
        finish(id, { died: "the queue's Redis is away" });
      }
      await delay(askEveryMs);
    }
  }

  async function put(id: string, job: SourceJob): Promise<void> {
    await queue.add(job.name, job, {
      jobId: id,
      attempts,
      backoff: { type: 'fixed', delay: againAfterMs },
    });
  }

  /** Tells the worker what holds now, unless that was told. */
  async function order(id: string, one: Waiting): Promise<void> {
    const text = JSON.stringify(one.orders);
    if (text === one.told) return;
    one.told = text;
    try {
      await control.call('SET', ordersKeyOf(id), text);
    } catch (error) {
      one.told = undefined;
      throw error;
    }
  }

  return {
    atOnce: Infinity,
    begin(job, orders, hear) {
      const id = idOf(job);
      let resolve: (end: JobEnd | Death) => void = () => undefined;
      const end = new Promise<JobEnd | Death>((settle) => (resolve = settle));
      const line = job.follow
        ? openLeadLine(endpoint, id, timeoutMs, {
            begins: () => hear.begins(),
            hear(said) {
              hear.said(said);
            },
            renewed(session) {
              give({ ...one.orders, session });
            },
          })
        : undefined;
      const one: Waiting = {
        ...{ job, hear, end: resolve, attempt: 0, place: 0, heardAtMs: 0, told: undefined },
        isExpectedToEnd: false,
        sources: undefined,
        orders: { ...orders, isStopped: false, session: line?.session ?? null },
        line,
      };
      waiting.set(id, one);
      const give = (next: Orders): void => {
        one.orders = next;
        // What can't be told now is told with the next look.
        if (!isClosed) void order(id, one).catch(() => undefined);
      };
      void begin(id, one).catch((error: unknown) => {
        waiting.delete(id);
        one.end({ refused: String(error) });
      });
      return {
        ended: end,
        obey(next) {
          give({ ...one.orders, ...next });
        },
        say(said) {
          line?.say(said);
        },
        stop() {
          give({ ...one.orders, isStopped: true });
          void takeBack(id, one);
          void endWithoutQueue(id, one);
        },
        expectEnd() {
          void endWithoutQueue(id, one);
        },
      };
    },
    async close() {
      isClosed = true;
      clearInterval(looking);
      const lines = [...waiting.values()].flatMap(({ line }) => line ?? []);
      await isDoneWithin(timeoutMs, Promise.all(lines.map((line) => line.close())));
      // The report holds what they came to; the next run of the same sources begins with none.
      for (const id of ended) {
        const taking = takeOut(id);
        // Where it is away by now, they stay.
        if (!(await isDoneWithin(timeoutMs, taking))) break;
        if (await taking) unheard.delete(id);
        // Whoever still has it reads there that it is to end.
        if (unheard.has(id)) continue;
        await control.call('DEL', ordersKeyOf(id)).catch(() => undefined);
      }
      await isDoneWithin(closedWithinMs, Promise.all([events.close(), queue.close()]));
      control.close();
      return unheard.size === 0 ? undefined : staying(unheard.size, addressOf(endpoint));
    },
  };

  async function begin(id: string, one: Waiting): Promise<void> {
    await order(id, one);
    const before = await endedBefore(id, one.job);
    await put(id, before ? { ...one.job, before } : one.job);
    // One that was there already may have ended.
    await look(id, one, true);
  }

  /**
   * A job that came to its end under a coordinator that was killed counts, unless there is more to do by now: then
   * it is taken out, and its counts are where the next one goes on.
   */
  async function endedBefore(
    id: string,
    { decision, keys, options: { copy, follow } }: SourceJob,
  ): Promise<SourceJob['before'] | undefined> {
    const known = await queue.getJob(id);
    if (!known || !((await known.isCompleted()) || (await known.isFailed()))) return undefined;
    const isOver =
      !follow && decision.goesOn && (copy || keys === 0) && (await known.isCompleted());
    if (isOver && 'sources' in known.returnvalue) return undefined;
    const progress = known.progress as Progress | number;
    await queue.remove(id);
    return decision.goesOn && typeof progress === 'object' ? progress.news.sources : undefined;
  }

  /** What no worker has begun yet ends with nothing done. */
  async function takeBack(id: string, one: Waiting): Promise<void> {
    if (await takeOut(id)) finish(id, endWithNothing(one.job));
  }

  /** @returns false: it stays, since the queue does not let go of what a worker has. */
  function takeOut(id: string): Promise<boolean> {
    return queue.remove(id).then(
      (count) => count === 1,
      () => false,
    );
  }
}

function staying(count: number, address: string): string {
  const jobs = count === 1 ? 'One job of this run stays' : `${String(count)} jobs of this run stay`;
  return `${jobs} in the queue at ${address}, which was away: once it is back, workers go on with what is there. Run the same command again to take that up, or stop the workers before.`;
}

/** A job that the queue's Redis has lost: what was heard of it counts, and whoever had it may still be at it. */
function onceMore({ job, attempt, sources }: Waiting): SourceJob {
  return {
    ...job,
    decision: { ...job.decision, goesOn: true },
    attempt: attempt + 1,
    before: sources ?? job.before,
  };
}

/** BullMQ takes no colon in it. */
function idOf({ work }: Pick<SourceJob, 'work'>): string {
  return work.replaceAll(':', '-');
}
