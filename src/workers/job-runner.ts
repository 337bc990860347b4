/** Whoever runs jobs: processes of this machine, or workers anywhere. */
import type { Said } from './dialogue.js';
import type { JobEnd, JobNews, JobOrders } from './job-news.js';
import type { SourceJob } from './source-job.js';

export interface JobRunner {
  /** How many jobs it takes at one time. */
  readonly atOnce: number;
  /**
   * Begins an attempt.
   * @param orders what holds from the start.
   * @param hear is called with what the attempt says, in its order, and not after it has ended.
   */
  begin(job: SourceJob, orders: JobOrders, hear: HearJob): RunningJob;
  /**
   * Ends what is left, at once.
   * @returns a sentence where something stays behind that may go on; undefined: nothing does.
   */
  close(): Promise<string | undefined>;
}

export interface HearJob {
  news(news: JobNews): void;
  /** Of a job that follows: what it asks, and answers (dialogue.ts). */
  said(said: Said): void;
  /**
   * Of a job that follows: another attempt begins, of which nobody has told.
   * @returns how it goes on; undefined: it does not, since the cluster has taken over.
   */
  begins(): Promise<Pick<SourceJob, 'follow' | 'before'> | undefined>;
}

export interface RunningJob {
  readonly ended: Promise<JobEnd | Death>;
  obey(orders: JobOrders): void;
  /** To a job that follows. */
  say(said: Said): void;
  /** Lets it finish the batches in flight. */
  stop(): void;
  /** It comes to its end by itself now, and is not waited for where nothing can be heard of it any more. */
  expectEnd(): void;
}

/** It ended without a word; the clause says how. */
export interface Death {
  readonly died: string;
}
