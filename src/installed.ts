/**
 * Files of this package that are read at run time, by where they lie: one folder up from here, both
 * from src/ and from dist/. Only in this file, because the command line is bundled into one, and because
 * the executable has them within itself (executable/embedded.ts stands in for this file there).
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { v8Flags } from './v8-flags.js';

const manifest = createRequire(import.meta.url)('../package.json') as { readonly version: string };

/** This package's own version. */
export const version = manifest.version;

/** Reads the page that shows a run in a browser: HTML. */
export function readPageFile(): Promise<string> {
  return readFile(new URL('../dist/page.html', import.meta.url), 'utf8');
}

/** What a process runs that is forked for a job of `--workers` or `cluster-import worker`. */
export const jobProcess: {
  readonly path: string;
  /** For V8. */
  readonly flags: readonly string[];
} = {
  path: fileURLToPath(new URL('../dist/job-process.bundle.js', import.meta.url)),
  flags: v8Flags,
};

/** What runs on the thread that measures what a client of the source feels. */
export const probeWorkerFile = new URL('../dist/probe-worker.bundle.js', import.meta.url);
