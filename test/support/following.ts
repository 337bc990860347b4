/** Runs with --follow: started, looked at and told by `ctl`, and ended with the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { State } from '../../src/watch/run-sockets.js';
import { type CliResult, type CliRun, runCli, startCli } from './cli.js';
import { unlessEnded } from './halfway.js';
import { waitFor } from './wait.js';

export interface FollowingRuns {
  /** A folder of the test's own. */
  readonly folder: string;
  env: () => { readonly XDG_RUNTIME_DIR: string };
  /** Starts one. @param endpoints `--from … --to …` */
  start: (endpoints: readonly string[], ...words: string[]) => CliRun;
  ctl: (...words: string[]) => ReturnType<typeof runCli>;
  status: () => Promise<State | undefined>;
  until: (phase: string) => Promise<void>;
  /**
   * Asks for the cutover until the run says that it holds writes; its fence may come a moment later. On a busy machine
   * an attempt may be given up before.
   */
  hold: () => Promise<Attempt>;
  /** Asks for the cutover until it has come. @returns how the run has ended. */
  cutOver: (run: CliRun) => Promise<CliResult>;
}

interface Attempt {
  /** What becomes of the cutover. */
  readonly ended: Promise<CliResult>;
  readonly isOver: boolean;
}

/** To be called at the top of a test file. */
export function followingRuns(): FollowingRuns {
  let folder = '';
  const runs: CliRun[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cluster-import-run-'));
  });
  afterEach(async () => {
    for (const run of runs) run.signal('SIGKILL');
    await Promise.all(runs.splice(0).map((run) => run.done));
    rmSync(folder, { recursive: true });
  });
  const env = () => ({ XDG_RUNTIME_DIR: folder });
  const ctl = (...words: string[]) => runCli(['ctl', ...words], env());
  async function status(): Promise<State | undefined> {
    const { code, stdout } = await ctl('status', '--json');
    return code === 0 ? (JSON.parse(stdout) as State) : undefined;
  }
  const isIn = async (phase: string): Promise<boolean> => (await status())?.follow?.phase === phase;
  function unlessLastEnded<T>(moment: Promise<T>): Promise<T> {
    const [last] = runs.slice(-1);
    return last ? unlessEnded(last, moment) : moment;
  }
  function begun(): Attempt {
    const attempt = {
      isOver: false,
      ended: ctl('cutover').finally(() => (attempt.isOver = true)),
    };
    return attempt;
  }
  return {
    get folder() {
      return folder;
    },
    env,
    start(endpoints, ...words) {
      const run = startCli([...endpoints, '--follow', '--json', '--quiet', ...words], env());
      runs.push(run);
      return run;
    },
    ctl,
    status,
    async until(phase) {
      await unlessLastEnded(waitFor(`the phase ${phase}`, () => isIn(phase)));
    },
    hold() {
      let attempt = begun();
      const held = waitFor('writes to be held', async () => {
        if (await isIn('holding')) return attempt;
        if (attempt.isOver) attempt = begun();
        return false;
      });
      return unlessLastEnded(held);
    },
    async cutOver(run) {
      let hasEnded = false;
      void run.done.then(() => (hasEnded = true));
      // Behind it the run may end ahead of the one that asks.
      await waitFor('the cutover', async () => hasEnded || (await ctl('cutover')).code === 0);
      return run.done;
    },
  };
}

/** Runs a command at the cutover that lasts until it is told to go on, or the run is gone. */
export function waitingCommand(folder: string): {
  readonly words: readonly string[];
  goOn(): void;
} {
  const file = join(folder, 'go-on');
  return {
    words: [
      '--on-cutover',
      `until [ -e ${file} ] || ! kill -0 $PPID 2>/dev/null; do sleep 0.05; done`,
      '--max-hold',
      '60s',
    ],
    goOn() {
      writeFileSync(file, '');
    },
  };
}
