/** What a process has used so far, by the system's own account (proc(5)); Linux alone has it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { statOf } from '../../test/support/job-processes.js';

export interface Usage {
  /** User and system time, to the tick. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']));
const pageBytes = Number(execFileSync('getconf', ['PAGESIZE']));

export function usageOf(pid: number): Usage {
  const fields = statOf(pid);
  if (fields.length === 0) throw new Error(`there is no process ${String(pid)}`);
  const field = (nth: number): number => Number(fields[nth - 3]);
  return {
    cpuSeconds: (field(14) + field(15)) / ticksPerSecond,
    memoryBytes: field(24) * pageBytes,
  };
}

/** The most memory that it has held so far; undefined where the system does not say, or it has ended. */
export function peakBytesOf(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
    const kilobytes = /VmHWM:\s+(\d+) kB/.exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
