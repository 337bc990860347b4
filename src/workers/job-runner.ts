/** Whoever runs jobs: processes of this machine, or workers anywhere. */
import { type ChildProcess, fork } from 'node:child_process';
import { jobProcess } from '../installed.js';
import type { Said } from './dialogue.js';
import type { JobEnd, JobNews, JobOrders } from './job-news.js';
import type { FromJob, Lease, ToJob } from './job-process.js';
import type { JobSecrets, SourceJob } from './source-job.js';

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

/* Runs jobs in processes of this machine. */

/** What a process that ends unexpectedly said last; more is of no use in a sentence. */
const longestWords = 300;
/** What a process that is dead had sent is read by then. */
const othersLastMs = 1000;

export interface Start {
  readonly job: SourceJob;
  /** They go over the process's own channel, and nowhere else. */
  readonly secrets: JobSecrets;
  readonly orders: JobOrders;
  /** By what it sees that the job is still its own; undefined: it is, for as long as we live. */
  readonly lease: Lease | undefined;
  /** How long what an attempt before had sent may be under way, where its connections can't be closed. */
  readonly othersLastMs: number;
  readonly hear: HearJob;
}

export function createProcessRunner(
  atOnce: number,
  secretsOf: (job: SourceJob) => JobSecrets,
): JobRunner {
  const processes = new Set<StartedJob>();
  return {
    atOnce,
    begin(job, orders, hear) {
      const started = startJob({
        ...{ job, orders, hear, othersLastMs },
        secrets: secretsOf(job),
        lease: undefined,
      });
      processes.add(started);
      void started.ended.then(() => processes.delete(started));
      return started;
    },
    close() {
      for (const started of processes) started.kill();
      return Promise.resolve(undefined);
    },
  };
}

export interface StartedJob extends RunningJob {
  /** Ends it at once. */
  kill(): void;
}

/** Starts a process for a job. */
export function startJob({ hear, ...begin }: Start): StartedJob {
  const child: ChildProcess = fork(jobProcess.path, [], {
    execArgv: [...jobProcess.flags],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let words = '';
  let end: JobEnd | undefined;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-longestWords);
  });
  child.on('message', (message: FromJob) => {
    if (message.kind === 'news') hear.news(message.news);
    else if (message.kind === 'said') hear.said(message.said);
    else end = message.end;
  });
  // It may be gone already: then that is what is heard.
  const send = (message: ToJob): void => {
    if (child.connected) child.send(message, () => undefined);
  };
  send({ kind: 'begin', ...begin });
  const ended = new Promise<JobEnd | Death>((resolve) => {
    child.once('error', (error) => {
      resolve({ died: error.message });
    });
    // What it said is read to the end by then.
    child.once('close', (code, signal) => {
      resolve(end ?? { died: causeOf(code, signal, words) });
    });
  });
  return {
    ended,
    obey(next) {
      send({ kind: 'orders', orders: next });
    },
    say(said) {
      send({ kind: 'said', said });
    },
    stop() {
      send({ kind: 'stop' });
    },
    // Its process ends in any case.
    expectEnd: () => undefined,
    kill() {
      child.kill('SIGKILL');
    },
  };
}

function causeOf(code: number | null, signal: string | null, words: string): string {
  if (signal !== null) return signal;
  const said = words.trim().split('\n').at(-1) ?? '';
  return said === '' ? `exit code ${String(code)}` : said;
}
