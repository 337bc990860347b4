/**
 * Runs a program and says what it took: time, CPU and memory, the same way for every rival.
 *
 * CPU comes from the shell that starts it (`times` tells what the shell's children used, to 10 ms),
 * because Node tells nothing of a child that has ended. Peak memory is what Linux keeps as VmHWM, read
 * every few milliseconds: it only grows, so the last reading is the peak.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Invocation } from '../types.js';
import { peakBytesOf } from './process-usage.js';

export interface Run {
  readonly code: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Undefined where there is no /proc. */
  readonly peakBytes: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Its pid at once, and what its children used at the end, on descriptor 3. */
const shell = `exec 4<&0; "$@" <&4 3>&- 4<&- & echo $! >&3; wait $!; code=$?; times >&3; exit $code`;
const peakEveryMs = 20;
/** What is kept of each output: redis-cli prints a line a key. */
const keptCharacters = 64 * 1024;

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) kill(child);
});

export async function run(invocation: Invocation, timeoutMs = 1_800_000): Promise<Run> {
  const input = openSync(invocation.stdin ?? '/dev/null', 'r');
  const startedMs = performance.now();
  const child = spawn('sh', ['-c', shell, 'sh', invocation.program, ...invocation.args], {
    stdio: [input, 'pipe', 'pipe', 'pipe'],
    // In a group of its own: Ctrl-C must not reach it ahead of us, and all of it must be stopped.
    detached: true,
    env: ownEnvironment(),
  });
  closeSync(input);
  running.add(child);
  const [, stdout, stderr, accounts] = child.stdio;
  const texts = [stdout, stderr, accounts].map((stream) => textOf(stream as Readable));
  const [out, err, account] = texts as [() => string, () => string, () => string];
  let peakBytes: number | undefined;
  const watch = setInterval(() => {
    peakBytes = peakOf(account()) ?? peakBytes;
  }, peakEveryMs);
  const limit = setTimeout(() => {
    kill(child);
  }, timeoutMs);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => {
        resolve(status ?? 137);
      });
    });
    const seconds = (performance.now() - startedMs) / 1000;
    return { code, seconds, cpuSeconds: cpuOf(account()), peakBytes, stdout: out(), stderr: err() };
  } finally {
    clearInterval(watch);
    clearTimeout(limit);
    running.delete(child);
  }
}

/** Its whole group, the shell's child included. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}

function textOf(stream: Readable): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (piece: string) => {
    text = (text + piece).slice(-keptCharacters);
  });
  return () => text;
}

function peakOf(account: string): number | undefined {
  const pid = /^\d+/.exec(account)?.[0];
  return pid === undefined ? undefined : peakBytesOf(Number(pid));
}

/** User and system time of the shell's children: the second line that `times` prints. */
function cpuOf(account: string): number {
  const times = [...account.matchAll(/(\d+)m([\d.]+)s/g)].slice(2, 4);
  return times.reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds),
    0,
  );
}

/** Whoever runs the benchmark may have passwords for servers of their own there. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('CLUSTER_IMPORT_')),
  );
}
