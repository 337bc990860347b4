/** A run of the command line that stands still halfway, for as long as a test needs to act. */
import { type CliRun, startCli } from './cli.js';
import type { Proxy } from './proxy.js';
import type { Server } from './servers.js';
import { waitFor } from './wait.js';

export interface Halfway {
  readonly source: Server;
  /** In front of the source. */
  readonly proxy: Proxy;
  /** Any node of the cluster. */
  readonly to: string;
  readonly words: readonly string[];
}

/**
 * Begins a run; resolves when some keys have left the source and others, of which there must be
 * enough, have not. It goes on with `proxy.resume()`.
 */
export async function startHalfway({ source, proxy, to, words }: Halfway): Promise<CliRun> {
  const count = await source.client.dbsize();
  proxy.faults.delayMs = { up: 0, down: 3 };
  const endpoints = ['--from', proxy.address, '--to', to];
  const run = startCli([...endpoints, ...words, '--json', '--quiet']);
  const isHalfway = async () => (await source.client.dbsize()) < count * 0.97;
  await unlessEnded(run, waitFor('keys to leave', isHalfway));
  proxy.stall();
  proxy.faults.delayMs = { up: 0, down: 0 };
  return run;
}

/** Waits for something, unless the run is over before: then it fails with what that said. */
export async function unlessEnded<T>(run: CliRun, moment: Promise<T>): Promise<T> {
  const tooEarly = run.done.then(({ stdout, stderr }) => {
    throw new Error(`it ended too early: ${stdout}${stderr}`);
  });
  tooEarly.catch(() => undefined);
  moment.catch(() => undefined);
  return Promise.race([moment, tooEarly]);
}
