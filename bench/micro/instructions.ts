/**
 * How many instructions a case takes: by the processor's own count where perf may read it (in virtual
 * machines it often can't), else by valgrind, which carries them out one by one and so needs some
 * minutes for all cases, but counts the same at each run.
 */
import { execFileSync } from 'node:child_process';

export interface Counter {
  readonly name: string;
  /** One run tells as much as many. */
  readonly isExact: boolean;
  /** How many of the keys that are measured otherwise are enough. */
  readonly share: number;
  /** @returns the instructions that Node takes for these arguments, its start and compiler included. */
  count(args: readonly string[]): number;
}

// Accounts go to standard error, so that nothing of the program's mixes with them: it says nothing there.
const perf: Counter = {
  name: 'perf',
  isExact: false,
  share: 1,
  count: (args) =>
    countIn(
      /^(\d+),/m,
      'exec perf stat -x, -e instructions:u -- "$@" 2>&1 >/dev/null',
      process.execPath,
      ...args,
    ),
};

const valgrind: Counter = {
  name: 'valgrind',
  isExact: true,
  share: 0.1,
  count: (args) =>
    countIn(
      /I\s+refs:\s+([\d,]+)/,
      'exec valgrind --tool=cachegrind --cache-sim=no --smc-check=all-non-file --cachegrind-out-file=/dev/null "$@" 2>&1 >/dev/null',
      ...[process.execPath, '--single-threaded', ...args],
    ),
};

/** @returns undefined where neither works. */
export function findCounter(): Counter | undefined {
  return [perf, valgrind].find((counter) => counter.count(['--version']) > 0);
}

function countIn(pattern: RegExp, script: string, ...words: string[]): number {
  try {
    const said = execFileSync('sh', ['-c', script, 'sh', ...words], { encoding: 'utf8' });
    return Number(pattern.exec(said)?.[1]?.replaceAll(',', '') ?? NaN);
  } catch {
    return NaN;
  }
}
