/** Runs the command of `--on-cutover`, which switches the clients over. */
import { spawn } from 'node:child_process';
import { ImportError, messageOf } from '../errors.js';

/**
 * Runs it in a shell, with its output on our standard error.
 * @param signal ends it.
 * @throws ImportError when it can't be run, fails, or is ended.
 */
export async function runOnCutover(command: string, signal: AbortSignal): Promise<void> {
  const child = spawn(command, {
    shell: true,
    stdio: ['ignore', process.stderr, process.stderr],
    env: withoutSecrets(process.env),
    // With whatever it has started.
    detached: true,
  });
  const kill = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended by itself.
    }
  };
  signal.addEventListener('abort', kill);
  try {
    const words = await new Promise<string | undefined>((resolve) => {
      child.once('error', (error) => {
        resolve(`could not be run: ${messageOf(error)}`);
      });
      child.once('exit', (code, killedBy) => {
        if (code === 0) resolve(undefined);
        else
          resolve(
            code === null ? `was ended by ${String(killedBy)}` : `ended with ${String(code)}`,
          );
      });
    });
    if (signal.aborted) throw new ImportError('--on-cutover took too long, and was ended');
    if (words !== undefined) throw new ImportError(`--on-cutover ${words}`);
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^CLUSTER_IMPORT_.*PASSWORD$/.test(name)),
  );
}
