/**
 * Files of this package that are read at run time, by where they lie: one folder up from here, both
 * from src/ and from dist/. Only in this file, because the command line is bundled into one.
 */
import { createRequire } from 'node:module';

const manifest = createRequire(import.meta.url)('../package.json') as { readonly version: string };

/** This package's own version. */
export const version = manifest.version;

/** The page that shows a run in a browser. */
export const pageFile = new URL('../dist/page.html', import.meta.url);

/** What runs a job of `--workers` or `cluster-import worker` in a process of its own. */
export const jobProcessFile = new URL('../dist/job-process.bundle.js', import.meta.url);

/** What runs on the thread that measures what a client of the source feels. */
export const probeWorkerFile = new URL('../dist/probe-worker.bundle.js', import.meta.url);
