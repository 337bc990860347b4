/**
 * How the process ends, whatever the verb: in order when a signal asks for it, unharmed by streams
 * that are no longer read, and with one sentence on an unexpected error. Only this file exits.
 */
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { messageOf } from '../errors.js';
import type { Stop } from './verb.js';

/** SIGHUP: the terminal was closed, or the connection to it was lost. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const unexpectedErrorCode = 3;

/**
 * The reader may have left (`| head`), or the disk may be full. The work goes on all the same, and the
 * exit code stays that of the work.
 */
export function outliveStreams(): void {
  let told = false;
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    // A pipe that was closed by its reader is no trouble.
    if (told || code === 'EPIPE') return;
    told = true;
    process.stderr.write(`cluster-import: standard output could not be written: ${message}\n`);
  });
  process.stderr.on('error', () => undefined);
}

/** The last resort: what was in flight is as it would be after a kill, and the journal knows. */
export function endOnUnexpectedErrors(isDebugging: boolean): void {
  const endSaying = (words: string): void => {
    process.stderr.write(
      `cluster-import: ${words}. Nothing is lost; the same command goes on.\n`,
      () => leave(unexpectedErrorCode),
    );
  };
  const end = (error: unknown): void => {
    if (isDebugging) console.error(error);
    endSaying(`unexpected error: ${messageOf(error)}`);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
  // All ways out lead through `leave`. A process that has nothing to wait for any more, and has not
  // come to its end, would leave without a word (Node's exit code 13).
  process.on('beforeExit', () => {
    endSaying('it waits for something that can never come');
  });
}

/** Of standard input, output and error those that are a terminal to begin with. */
const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));

/**
 * Ends the process. Node sets terminals back while it exits, and aborts where one was closed meanwhile
 * (ResetStdio in node.cc bears no EIO); what is closed here it leaves alone.
 */
export function leave(exitCode: number): never {
  for (const descriptor of terminals) if (!isatty(descriptor)) closeSync(descriptor);
  process.exit(exitCode);
}

let caught: number | undefined;

/** What to exit with after the signal that came; undefined: none did. */
export function stoppedWith(): number | undefined {
  return caught;
}

/** See `Shell.catchSignals`. */
export function catchSignals(say: (signal: string) => void): Stop {
  const stop = new AbortController();
  for (const [name, code] of Object.entries(signals)) {
    process.on(name, () => {
      // A terminal that closes tells by its shell and by itself: that is not somebody in a hurry.
      if (caught !== undefined && name === 'SIGHUP') return;
      if (caught !== undefined) leave(code);
      caught = code;
      stop.abort();
      say(name);
    });
  }
  return {
    signal: stop.signal,
    get exitCode() {
      return caught;
    },
  };
}
