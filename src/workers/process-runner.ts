/** Runs jobs in processes of this machine. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { jobProcessFile } from '../installed.js';
import type { JobEnd } from './job-news.js';
import type { FromJob, ToJob } from './job-process.js';
import type { Death, JobRunner } from './job-runner.js';
import type { JobSecrets } from './source-job.js';

/** What a process that ends unexpectedly said last; more is of no use in a sentence. */
const longestWords = 300;

/** What a process that is dead had sent is read by then. */
const othersLastMs = 1000;

/** @param secrets by the name of the job. They go over the process's own channel, and nowhere else. */
export function createProcessRunner(
  atOnce: number,
  secrets: ReadonlyMap<string, JobSecrets>,
): JobRunner {
  const processes = new Set<ChildProcess>();

  return {
    atOnce,
    begin(job, orders, hear) {
      const child = fork(fileURLToPath(jobProcessFile), [], {
        execArgv: [],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      processes.add(child);
      let words = '';
      let end: JobEnd | undefined;
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        words = (words + text).slice(-longestWords);
      });
      child.on('message', (message: FromJob) => {
        if (message.kind === 'news') hear(message.news);
        else end = message.end;
      });
      // It may be gone already: then that is what is heard.
      const send = (message: ToJob): void => {
        if (child.connected) child.send(message, () => undefined);
      };
      const none = { fromPassword: undefined, toPassword: undefined, sentinelPassword: undefined };
      send({
        kind: 'begin',
        job,
        secrets: secrets.get(job.name) ?? none,
        orders,
        othersLastMs,
      });
      const ended = new Promise<JobEnd | Death>((resolve) => {
        child.once('error', (error) => {
          processes.delete(child);
          resolve({ died: error.message });
        });
        // What it said is read to the end by then.
        child.once('close', (code, signal) => {
          processes.delete(child);
          resolve(end ?? { died: causeOf(code, signal, words) });
        });
      });
      return {
        ended,
        obey(next) {
          send({ kind: 'orders', orders: next });
        },
        stop() {
          send({ kind: 'stop' });
        },
      };
    },
    close() {
      for (const child of processes) child.kill('SIGKILL');
    },
  };
}

function causeOf(code: number | null, signal: string | null, words: string): string {
  if (signal !== null) return signal;
  const said = words.trim().split('\n').at(-1) ?? '';
  return said === '' ? `exit code ${String(code)}` : said;
}
