/** Whether other processes import the sources of a run, and which. */
import { availableParallelism } from 'node:os';
import { UsageError } from '../errors.js';
import { fileStore, type JournalStore, redisStore } from '../journal/stores.js';
import type { ImportOptions } from '../options/options.js';
import { readQueueEndpoint } from '../plan/endpoints.js';
import type { Facts, Listener } from '../plan/preflight.js';
import { isServer, serverIdOf } from '../plan/source-facts.js';
import { parseEndpoint } from '../redis/endpoint.js';
import { createProcessRunner, type JobRunner } from './job-runner.js';
import { checkQueue, keyPrefix } from './queue/bullmq.js';
import { openQueueRunner } from './queue/queue-runner.js';
import { secretsOf } from './source-job.js';
import { refusingTakeover } from './takeover.js';

export interface Spread {
  readonly runner: JobRunner;
  /** Where the journal of that name is kept. */
  readonly storeFor: (path: string) => JournalStore;
}

/**
 * @returns undefined when this process imports them: what is little, or needs all of them in one place.
 * @throws UsageError when they can't be spread as was asked for, ConnectionError or RefusedError when the
 *   queue's Redis can't be asked.
 */
export async function openSpread(
  facts: Facts,
  options: ImportOptions,
  { warn, tell }: Listener,
): Promise<Spread | undefined> {
  const { workers, queue, timeoutMs } = options;
  if (options.dryRun) return undefined;
  checkTogether(options);
  if (queue !== undefined) {
    checkForQueue(facts, options);
    const endpoint = await readQueueEndpoint(queue, options);
    const runId = await checkQueue(endpoint, timeoutMs);
    checkApart(facts, runId, queue);
    await tellTakeover(facts, timeoutMs, warn);
    return {
      runner: await openQueueRunner(endpoint, timeoutMs),
      storeFor(path) {
        const name = path.slice(path.lastIndexOf('/') + 1);
        const key = `${keyPrefix}:journal:${name}`;
        return redisStore(endpoint, key, timeoutMs, tell);
      },
    };
  }
  const servers = new Set(facts.sources.map(serverIdOf)).size;
  if (workers === 1 || servers === 1) return undefined;
  await tellTakeover(facts, timeoutMs, warn);
  const most = workers === 'auto' ? availableParallelism() : workers;
  const runner = createProcessRunner(Math.min(most, servers), secretsOf(facts));
  return { runner, storeFor: fileStore };
}

/** @throws UsageError */
function checkTogether({ workers, queue, onlyKeys }: ImportOptions): void {
  if (workers === 1 && queue === undefined) return;
  const flag = queue === undefined ? '--workers' : '--queue';
  if (queue !== undefined && workers !== 1) {
    throw new UsageError('--workers and --queue are two ways to spread a run: pass one of them.');
  }
  if (onlyKeys === undefined) return;
  throw new UsageError(`--only-keys needs all sources in one process: leave ${flag} out.`);
}

/** @throws UsageError when workers elsewhere could not do what was asked for. */
function checkForQueue({ sources }: Facts, options: ImportOptions): void {
  const loaded = sources.filter(isServer).find(({ file }) => file !== undefined);
  if (loaded?.file !== undefined || options.from.includes('-')) {
    throw new UsageError(
      `--queue takes servers and dumps, and not ${loaded?.file ?? 'standard input'}, which only this machine has: pass --workers instead.`,
    );
  }
  const named: readonly (readonly [flag: string, texts: readonly string[]])[] = [
    ['--from', options.from],
    ['--from-cluster', options.fromCluster === undefined ? [] : [options.fromCluster]],
    ['--to', [options.to]],
  ];
  for (const [flag, texts] of named) {
    for (const text of texts) {
      if (!/^rediss?:/i.test(text) || !parseEndpoint(text, flag).password) continue;
      const name = flag === '--to' ? 'TO' : 'FROM';
      throw new UsageError(
        `--queue: the password in ${flag} does not travel to workers: give it in CLUSTER_IMPORT_${name}_PASSWORD, here and to each worker.`,
      );
    }
  }
}

/** @throws UsageError when the queue would be moved, or be a node's. */
function checkApart({ sources, target }: Facts, runId: string, queue: string): void {
  if (runId === '') return;
  const isSource = sources.filter(isServer).some((source) => source.runId === runId);
  const isNode = target.masters.some((master) => master.runId === runId);
  if (!isSource && !isNode) return;
  throw new UsageError(
    `--queue ${queue} is ${isSource ? 'a source' : 'a node of the cluster'}: give the queue a Redis of its own.`,
  );
}

/** Where connections can't be closed, whoever takes a job over waits instead. */
async function tellTakeover(
  facts: Facts,
  timeoutMs: number,
  warn: (sentence: string) => void,
): Promise<void> {
  const refusing = await refusingTakeover(facts, timeoutMs);
  if (refusing.length === 0) return;
  warn(
    `${refusing.join(', ')}: this user may not run CLIENT LIST, SETNAME and KILL there, by which whoever goes on after a process that died closes what connections it had: instead it waits until they are gone.`,
  );
}
