/** The built command line as people run it: a process of its own, with arguments and signals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import './state.js';

export const program = fileURLToPath(new URL('../../bin/cluster-import.js', import.meta.url));

export interface CliResult {
  /** What it exited with; undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRun {
  readonly pid: number | undefined;
  readonly done: Promise<CliResult>;
  signal(name: NodeJS.Signals): void;
  /** From now on nobody reads its output. */
  deafen(): void;
  /** Waits until its output (both streams) has something; rejects when it ends without. */
  output(pattern: RegExp): Promise<RegExpExecArray>;
}

type Environment = Readonly<Record<string, string>>;

export function startCli(args: readonly string[], env: Environment = {}): CliRun {
  const child: ChildProcess = spawn(process.execPath, [program, ...args], {
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
      for (const look of watchers) look();
    });
  }
  const done = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code: code ?? undefined, ...said });
    });
  });
  return {
    pid: child.pid,
    done,
    signal: (name) => child.kill(name),
    deafen() {
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
    output: (pattern) =>
      new Promise((resolve, reject) => {
        function look(): void {
          const match = pattern.exec(said.stdout + said.stderr);
          if (match === null) return;
          watchers.delete(look);
          resolve(match);
        }
        watchers.add(look);
        look();
        done.then(() => {
          reject(new Error(`it ended without ${String(pattern)}: ${said.stdout}${said.stderr}`));
        }, reject);
      }),
  };
}

/** Runs it to its end. */
export function runCli(args: readonly string[], env?: Environment): Promise<CliResult> {
  return startCli(args, env).done;
}

/** Whoever runs the tests may have variables of their own. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('CLUSTER_IMPORT_')),
  );
}
