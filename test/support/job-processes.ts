/** The processes that a run, or a worker, has started for its jobs. Linux tells them by /proc (proc(5)). */
import { readFileSync } from 'node:fs';

export function jobsOf(pid: number | undefined): number[] {
  const path = `/proc/${String(pid)}/task/${String(pid)}/children`;
  return readIfThere(path).trim().split(' ').filter(Boolean).map(Number);
}

/** It has ended, though its parent may not have heard of it yet. */
export function isGone(pid: number): boolean {
  const [state] = statOf(pid);
  return state === undefined || state === 'Z';
}

/** What the system accounts for it, from its state on, which is the third field; empty where there is no such process. */
export function statOf(pid: number): readonly string[] {
  const stat = readIfThere(`/proc/${String(pid)}/stat`);
  // The name before it may hold anything.
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
