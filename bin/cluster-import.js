#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

// Ahead of all else, and for processes of jobs as well (src/workers/job-runner.ts): V8 then lets
// go sooner of what passing data leaves behind. A third less memory at the same speed
// (npm run bench -- memory).
setFlagsFromString('--optimize-for-size');
// What is left of a page is soon collected by one thread; several only take turns on the cores that
// the servers need too (npm run bench -- gate tells).
setFlagsFromString('--no-parallel-scavenge');

const built = new URL('../dist/cli.bundle.js', import.meta.url);
if (existsSync(built)) {
  const { main } = await import(built.href);
  await main(process.argv);
} else {
  console.error('cluster-import: it is not built yet: run "npm ci" and "npm run build" first');
  process.exitCode = 2;
}
