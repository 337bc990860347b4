/** Runs the commands that install something. */
import { spawnSync } from 'node:child_process';

/** For so long others may keep what a package manager needs for itself. */
const longestLockMs = 180_000;
const lookAgainMs = 2000;

/**
 * Whether a command succeeds. What it says goes to standard error. Where another package manager is at work, as on a
 * machine that has just started and looks for updates, it waits for that.
 * @param {readonly string[]} command
 * @param {{ cwd?: string }} [options]
 */
export function runs(command, options = {}) {
  const [program = '', ...words] = command;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const untilMs = Date.now() + longestLockMs;
  for (;;) {
    const ended = spawnSync(program, words, { ...options, stdio: ['ignore', 2, 'pipe'], env });
    if (ended.error) return false;
    process.stderr.write(ended.stderr);
    if (ended.status === 0) return true;
    if (!/could not get lock/i.test(ended.stderr.toString()) || Date.now() > untilMs) return false;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookAgainMs);
  }
}
