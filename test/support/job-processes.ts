/** The processes that a run, or a worker, has started for its jobs. Linux tells them by /proc (proc(5)). */
import { readFileSync } from 'node:fs';

export function jobsOf(pid: number | undefined): number[] {
  const path = `/proc/${String(pid)}/task/${String(pid)}/children`;
  return readIfThere(path).trim().split(' ').filter(Boolean).map(Number);
}

/** It has ended, though its parent may not have heard of it yet. */
export function isGone(pid: number): boolean {
  const stat = readIfThere(`/proc/${String(pid)}/stat`);
  return stat === '' || stat.includes(') Z ');
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
