/** A program that runs beside a measurement until it is told to stop. */
import { type ChildProcess, spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import type { Invocation, Service } from '../types.js';

/** What is kept of its outputs. */
const keptCharacters = 64 * 1024;

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function startService(
  { program, args }: Invocation,
  env: Readonly<Record<string, string>> = {},
): Service {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true,
  });
  running.add(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-keptCharacters);
    });
  }
  const ended = new Promise<void>((resolve) => {
    for (const event of ['close', 'error'] as const) {
      child.once(event, () => {
        running.delete(child);
        resolve();
      });
    }
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program} can't be started`);
  return {
    pid,
    get hasEnded() {
      return !running.has(child);
    },
    lastLine() {
      const lines = stripVTControlCharacters(said).split('\n');
      return lines.filter((line) => /^\S/.test(line)).at(-1) ?? '';
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
