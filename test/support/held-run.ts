/**
 * A run of the command line that stays at work for as long as a test wants to look at it: the proxy in
 * front of its source stands still once the first keys have left.
 */
import { type CliRun, startCli } from './cli.js';
import { unlessEnded } from './halfway.js';
import { stallAtRemoval } from './hold.js';
import { type Proxy, startProxy } from './proxy.js';
import type { Stage } from './stage.js';

export interface HeldRun {
  readonly run: CliRun;
  readonly proxy: Proxy;
  /** Where its metrics are: `http://127.0.0.1:port`. */
  readonly url: string;
  /** Lets it go on. */
  release(): void;
  stop(): Promise<void>;
}

interface HeldOptions {
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export async function holdRun(
  stage: Stage,
  { words = [], env }: HeldOptions = {},
): Promise<HeldRun> {
  const proxy = await startProxy(stage.source);
  const leaving = stallAtRemoval(proxy);
  const endpoints = ['--from', proxy.address, '--to', stage.cluster.seed];
  // It is not to give up what stands still for as long as a test needs.
  const usual = ['--metrics', '0', '--mover', 'relay', '--timeout', '10m'];
  const run = startCli([...endpoints, ...usual, ...words], env);
  const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
  await unlessEnded(run, leaving);
  return {
    run,
    proxy,
    url,
    release() {
      proxy.resume();
    },
    async stop() {
      run.signal('SIGKILL');
      await run.done;
      await proxy.stop();
    },
  };
}
