/**
 * Feeds random and mutated inputs to readers, in a thread of its own that is watched from here: for a
 * hang, which nothing inside that thread could report, and for memory.
 */
import { Worker } from 'node:worker_threads';
import type { Fed } from '../support/feed.js';

/** Which fuzzer it is. */
export interface Program {
  /** Tries the inputs of its job, one by one, and posts its endings. */
  readonly worker: URL;
  /** As which npm knows it. */
  readonly script: string;
}

export interface FuzzOptions {
  readonly seed: number;
  /** The number of the first input; one that failed is had again by its number. */
  readonly from: number;
  readonly inputs: number;
  /** What is in the names of the specimens to take; empty: all of them. */
  readonly only: string;
  /** How much memory the process may come to. */
  readonly limitBytes: number;
  /** How long one input may take. */
  readonly hangMs: number;
}

export interface FuzzJob extends FuzzOptions {
  /** The number of the input that is being tried. */
  readonly current: Int32Array;
}

/** How many inputs were accepted whole, were fine as far as they went, and were refused. */
export type Endings = Record<Fed['ending'], number>;

export interface FuzzReport {
  readonly endings: Readonly<Record<string, Endings>>;
  readonly peakBytes: number;
}

const lookEveryMs = 50;
const notBegun = -1;

/** Threads do not take over that this one reads TypeScript. */
const bootstrapOf = (worker: URL): string => `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(${JSON.stringify(worker.href)});
});`;

/** @throws Error that names the input at which a reader failed. */
export async function fuzz(program: Program, options: FuzzOptions): Promise<FuzzReport> {
  const current = new Int32Array(new SharedArrayBuffer(4)).fill(notBegun);
  const job: FuzzJob = { ...options, current };
  const bootstrap = bootstrapOf(program.worker);
  const worker = new Worker(bootstrap, {
    ...{ eval: true, workerData: job },
    resourceLimits: { maxOldGenerationSizeMb: Math.ceil(options.limitBytes / 1e6) },
  });
  let peakBytes = 0;
  let watch: NodeJS.Timeout | undefined;
  try {
    const endings = await new Promise<FuzzReport['endings']>((resolve, reject) => {
      const fail = (what: string, cause?: unknown): void => {
        const nth = String(Atomics.load(current, 0));
        const again = `--seed ${String(options.seed)} --from ${nth} --inputs 1`;
        reject(
          new Error(`input ${nth}: ${what} (again: npm run ${program.script} -- ${again})`, {
            cause,
          }),
        );
      };
      let last = -1;
      let sinceMs = performance.now();
      watch = setInterval(() => {
        const bytes = process.memoryUsage.rss();
        peakBytes = Math.max(peakBytes, bytes);
        if (bytes > options.limitBytes) fail(`${(bytes / 1e6).toFixed(0)} MB of memory`);
        const nth = Atomics.load(current, 0);
        // Loading the program may take its time.
        if (nth === notBegun || nth !== last) sinceMs = performance.now();
        else if (performance.now() - sinceMs > options.hangMs) fail('a hang');
        last = nth;
      }, lookEveryMs);
      worker.once('message', resolve);
      worker.once('error', (error) => {
        fail(error instanceof Error ? error.message : String(error), error);
      });
    });
    return { endings, peakBytes: Math.max(peakBytes, process.memoryUsage.rss()) };
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}
