/**
 * What the demonstrations share: they say what they do, run the command that people type, and leave nothing
 * behind, whatever ends them. (The servers stop when this process ends: test/support/servers.ts.)
 */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { program } from '../test/support/cli.js';

const interrupts = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Interrupt = keyof typeof interrupts;

/** What must not outlive this process. */
const running = new Set<ChildProcess>();
/** Who decides what a signal means; else it ends this process. */
let foreground: ChildProcess | undefined;
let hasCaught = false;

for (const signal of Object.keys(interrupts) as Interrupt[]) {
  process.on(signal, () => {
    hasCaught = true;
    if (foreground) foreground.kill(signal);
    else process.exit(interrupts[signal]);
  });
}
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

// A terminal that is gone must not keep the servers from being stopped.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

export function say(words: string): void {
  console.log(words);
}

/** Somebody wants it to end. Says so. */
export function wasInterrupted(): boolean {
  if (hasCaught) say('Interrupted: the servers are stopped, and nothing of them is left.');
  return hasCaught;
}

export interface Command {
  readonly child: ChildProcess;
  /** The exit code; 1 when a signal has ended it. */
  readonly done: Promise<number>;
}

/** Shows the command, and runs it. Signals go to it for as long as it is up. */
export function runCommand(args: readonly string[], stdio: StdioOptions = 'inherit'): Command {
  say(`\n$ cluster-import ${args.map(quoted).join(' ')}`);
  const command = startCommand(args, stdio);
  foreground = command.child;
  const done = command.done.finally(() => {
    foreground = undefined;
  });
  return { child: command.child, done };
}

/** In a process group of its own: signals reach it once, from here, and not from the terminal too. */
export function startCommand(args: readonly string[], stdio: StdioOptions): Command {
  const child = spawn(process.execPath, [program, ...args], { stdio, detached: true });
  running.add(child);
  const done = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      running.delete(child);
      resolve(code ?? 1);
    });
  });
  return { child, done };
}

/** As it would be typed. */
function quoted(word: string): string {
  return /^[\w./:@=-]+$/.test(word) ? word : `'${word}'`;
}

/** Tells what is wrong, and ends this process. */
export function endWith(code: number, faults: readonly string[]): never {
  for (const fault of faults.slice(0, 20)) say(`WRONG: ${fault}`);
  process.exit(faults.length === 0 ? code : 1);
}
