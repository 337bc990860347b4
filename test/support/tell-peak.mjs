/** Loaded ahead of a program (NODE_OPTIONS): it ends by telling its peak memory on standard error. */
import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('exit', () => {
    writeSync(2, `peak memory: ${String(process.resourceUsage().maxRSS)} kB\n`);
  });
}
