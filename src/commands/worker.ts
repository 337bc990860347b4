/** `cluster-import worker`: takes jobs from a queue until it is stopped. */
import { readRows } from '../options/rows.js';
import { readQueueEndpoint } from '../plan/endpoints.js';
import { asPreflightError } from '../plan/preflight.js';
import { serve } from '../watch/http.js';
import { createWorkerMetrics, type WorkerMetrics } from '../watch/metrics.js';
import { checkQueue } from '../workers/queue/bullmq.js';
import { startQueueWorker } from '../workers/queue/queue-worker.js';
import { workerRows } from '../options/verb-options.js';
import type { JobNews } from '../workers/job-news.js';
import type { Logger } from '../types.js';

export interface WorkerContext {
  /** Once aborted, no more jobs are taken, and those under way go back to the queue. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Is told, in a sentence, that it is ready, and where its metrics are. */
  readonly tell: (sentence: string) => void;
}

/**
 * Resolves once it was stopped, and what it was at is with the queue again.
 * @throws UsageError or PreflightError when the queue can't be used.
 */
export async function runWorker(
  given: Readonly<Record<string, unknown>>,
  { signal, logger, tell }: WorkerContext,
): Promise<void> {
  const options = readRows(workerRows, given);
  const { queue: text, concurrency, metrics: where, timeoutMs, ...access } = options;
  const queue = await readQueueEndpoint(text, access);
  await checkQueue(queue, timeoutMs).catch((error: unknown) => {
    throw asPreflightError(error);
  });
  const metrics = createWorkerMetrics();
  const server =
    where === undefined
      ? undefined
      : await serve(
          {
            '/metrics': async () => ({ type: metrics.contentType, body: await metrics.text() }),
            '/healthz': () => ({ type: 'text/plain; charset=utf-8', body: 'ok\n' }),
          },
          where,
        );
  if (server) tell(`Metrics: ${server.url}/metrics`);
  // What is not given here may be said in the job.
  const secrets = Object.fromEntries(
    Object.entries(access).filter(([, value]) => value !== undefined),
  );
  const worker = await startQueueWorker({
    ...{ queue, concurrency, timeoutMs, secrets, logger },
    watch(sources, news) {
      note(metrics, sources, news);
    },
  });
  try {
    tell('Ready: it takes jobs until it is stopped (Ctrl-C).');
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else
        signal.addEventListener(
          'abort',
          () => {
            resolve();
          },
          { once: true },
        );
    });
  } finally {
    await worker.close();
    server?.close();
  }
}

function note(metrics: WorkerMetrics, sources: readonly string[], news: JobNews | undefined): void {
  for (const source of sources) {
    const progress = news?.sources[source];
    if (!news) metrics.forget(source);
    else if (progress) metrics.note(source, progress.tally);
  }
}
