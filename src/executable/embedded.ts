/**
 * What installed.ts gives where the command is one executable file: its parts are within it
 * (https://nodejs.org/docs/latest-v20.x/api/single-executable-applications.html).
 * scripts/build-executable.mjs puts this file in the place of that one.
 */
import { getAsset } from 'node:sea';
import type * as installed from '../installed.js';

const manifest = JSON.parse(getAsset('package.json', 'utf8')) as { readonly version: string };

export const version: typeof installed.version = manifest.version;

export const readPageFile: typeof installed.readPageFile = () =>
  Promise.resolve(getAsset('page.html', 'utf8'));

/** The executable itself is what is forked. It finds this path as its first argument; no file is there. */
export const jobProcess: typeof installed.jobProcess = {
  path: '/job-process',
  // Such a file passes flags on as arguments: main.ts sets them.
  flags: [],
};

export const probeWorkerFile: typeof installed.probeWorkerFile = new URL(
  `data:text/javascript;base64,${Buffer.from(getAsset('probe-worker.js')).toString('base64')}`,
);
