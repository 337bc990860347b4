/** What a process has used so far, by the system's own account (proc(5)); Linux alone has it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Usage {
  /** User and system time, to the tick. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']));
const pageBytes = Number(execFileSync('getconf', ['PAGESIZE']));

export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  // The name may hold anything; behind it are the fields from the third on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (nth: number): number => Number(fields[nth - 3]);
  return {
    cpuSeconds: (field(14) + field(15)) / ticksPerSecond,
    memoryBytes: field(24) * pageBytes,
  };
}
