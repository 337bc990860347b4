/**
 * Keys that steer a run while its view is drawn: one letter each, without Enter.
 *
 * The terminal gives letters only in raw mode, in which it makes no signals of Ctrl-C and the like: these are
 * made here. A process in the background must leave the terminal's mode alone, or the system stops it.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { ReadStream } from 'node:tty';

export interface KeyActions {
  /** By the letter. */
  readonly [letter: string]: () => void;
}

export interface TerminalKeys {
  /** Leaves the terminal as it was found. */
  close(): void;
}

const signals: Readonly<Record<string, NodeJS.Signals>> = {
  '\u0003': 'SIGINT',
  '\u001c': 'SIGQUIT',
};
const suspend = '\u001a';

/** Whether keys can be heard: somebody sits at this terminal, and the process has it. */
export function canHearKeys(input: NodeJS.ReadStream): input is ReadStream {
  return input.isTTY && isInForeground();
}

export function hearKeys(input: ReadStream, actions: KeyActions): TerminalKeys {
  let isOpen = true;

  function hear(text: string): void {
    for (const key of text) {
      const signal = signals[key];
      if (signal) process.kill(process.pid, signal);
      else if (key === suspend) stand();
      else actions[key.toLowerCase()]?.();
    }
  }

  function setRaw(isRaw: boolean): void {
    try {
      input.setRawMode(isRaw);
    } catch {
      // The terminal is gone.
    }
  }

  function stand(): void {
    setRaw(false);
    process.kill(process.pid, 'SIGTSTP');
  }

  function goOn(): void {
    if (isInForeground()) setRaw(true);
  }

  function close(): void {
    if (!isOpen) return;
    isOpen = false;
    process.off('SIGCONT', goOn);
    process.off('exit', close);
    input.off('data', hear);
    if (isInForeground()) setRaw(false);
    input.pause();
  }

  setRaw(true);
  input.setEncoding('utf8').on('data', hear);
  // The run goes on without a terminal.
  input.on('error', () => undefined);
  input.resume();
  input.unref();
  process.on('SIGCONT', goOn);
  process.on('exit', close);
  return { close };
}

/** Whether the terminal belongs to our process group now. */
function isInForeground(): boolean {
  try {
    if (process.platform === 'linux') {
      // The name, in parentheses, may hold anything; behind it: state, ppid, pgrp, session, tty_nr, tpgid (proc(5)).
      const stat = readFileSync('/proc/self/stat', 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[2] === fields[5];
    }
    const state = execFileSync('ps', ['-o', 'stat=', '-p', String(process.pid)], {
      encoding: 'utf8',
    });
    return state.includes('+');
  } catch {
    return false;
  }
}
