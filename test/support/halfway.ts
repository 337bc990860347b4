/** A run of the command line that stands still, at its listing or halfway, for as long as a test needs to act. */
import { type CliRun, startCli } from './cli.js';
import { stallAtRemoval, stallAtListing } from './hold.js';
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
 * enough, have not, however fast it is. It goes on with `proxy.resume()`.
 */
export async function startHalfway({ source, ...rest }: Halfway): Promise<CliRun> {
  const count = await source.client.dbsize();
  const run = await startUntil(stallAtRemoval(rest.proxy), rest);
  const haveLeft = async () => (await source.client.dbsize()) < count;
  await unlessEnded(run, waitFor('keys to leave', haveLeft));
  return run;
}

/** Begins a run; resolves when it is about to list keys, and has listed none. It goes on with `proxy.resume()`. */
export function startListing(rest: Omit<Halfway, 'source'>): Promise<CliRun> {
  return startUntil(stallAtListing(rest.proxy), rest);
}

async function startUntil(
  moment: Promise<void>,
  { proxy, to, words }: Omit<Halfway, 'source'>,
): Promise<CliRun> {
  const endpoints = ['--from', proxy.address, '--to', to];
  const run = startCli([...endpoints, ...words, '--json', '--quiet']);
  await unlessEnded(run, moment);
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
