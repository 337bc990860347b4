/**
 * Stands over a server that must not outlive the run, even if that is killed: a shell whose standard
 * input is a pipe from here. When that ends, for whatever reason, the shell kills the server and
 * removes its folder. It is there before anything is written into the folder.
 *
 * Another pipe, which only the server holds, tells when the server has ended by itself.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

const script = `read -r go || { rm -rf "$2"; exit; }
"$1" "$2/redis.conf" >"$2/output" 2>&1 </dev/null &
server=$!
exec 3>&-
cat >/dev/null
kill -9 $server 2>/dev/null
wait $server 2>/dev/null
rm -rf "$2"`;

/** How many of its last words are worth telling. */
const toldLines = 3;

export interface Guardian {
  /** Starts the server; its redis.conf must be in the folder by then. */
  start(): void;
  /** The server has ended, or could not be started. */
  readonly hasEnded: boolean;
  onEnd(listener: () => void): void;
  /** What the server said last, in its log or, without one, on its output. */
  lastWords(): Promise<string>;
  stop(): Promise<void>;
}

/** @param log the file that the server is told to log to. */
export function standGuard(binary: string, folder: string, log: string): Guardian {
  const shell = spawn('/bin/sh', ['-c', script, 'sh', binary, folder], {
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    // Ctrl-C is for us: the server is still needed then.
    detached: true,
  });
  // A shell that is gone already needs no orders.
  shell.stdin?.on('error', () => undefined);
  let hasEnded = false;
  const listeners: (() => void)[] = [];
  const gone = new Promise<void>((resolve) => {
    shell.once('close', resolve);
    shell.once('error', resolve);
  });
  const held = shell.stdio[3] as Readable;
  held.resume().once('close', () => {
    hasEnded = true;
    for (const listener of listeners) listener();
  });

  return {
    start: () => void shell.stdin?.write('go\n'),
    get hasEnded() {
      return hasEnded;
    },
    onEnd: (listener) => void listeners.push(listener),
    async lastWords() {
      const said = worthTelling(await textOf(log));
      const words = said.length > 0 ? said : linesOf(await textOf(join(folder, 'output')));
      return words.slice(-toldLines).join(' ');
    },
    async stop() {
      listeners.length = 0;
      shell.stdin?.end();
      await gone;
    },
  };
}

/** The lines of a log that are marked as warnings (`#`), without process and time. */
function worthTelling(log: string): string[] {
  return linesOf(log).flatMap((line) => {
    const words = /^\d+:\w .*?[\d:.]+ # (.*)/.exec(line)?.[1] ?? '';
    return words === '' || /^WARNING|is starting$|^Redis version/i.test(words) ? [] : [words];
  });
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
