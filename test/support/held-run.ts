/**
 * A run of the command line that stays at work for as long as a test wants to look at it: it reads
 * its source through a proxy that is slow.
 */
import { type CliRun, startCli } from './cli.js';
import { type Proxy, startProxy } from './proxy.js';
import type { Stage } from './stage.js';

export interface HeldRun {
  readonly run: CliRun;
  readonly proxy: Proxy;
  /** Where its metrics are: `http://127.0.0.1:port`. */
  readonly url: string;
  /** Lets it go on at full speed. */
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
  proxy.faults.delayMs.down = 150;
  const endpoints = ['--from', proxy.address, '--to', stage.cluster.seed];
  const run = startCli([...endpoints, '--metrics', '0', '--mover', 'relay', ...words], env);
  const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
  return {
    run,
    proxy,
    url,
    release() {
      proxy.faults.delayMs.down = 0;
    },
    async stop() {
      run.signal('SIGKILL');
      await run.done;
      await proxy.stop();
    },
  };
}
