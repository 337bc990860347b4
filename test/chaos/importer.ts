/** Runs the import again and again with the same command, as an operator would, until told to end. */
import type { Report } from '../../src/report.js';
import { startCli, type CliRun } from '../support/cli.js';

export interface Importer {
  /** Whether a run is under way. */
  readonly busy: boolean;
  /** Of the run under way. */
  readonly pid: number | undefined;
  readonly runs: readonly Run[];
  /** Kills the run that is under way with SIGKILL. */
  kill(): Promise<void>;
  /** Ends after the run under way. */
  finish(): Promise<void>;
  /** One more run. */
  once(): Promise<Run>;
  /** Ends at once, whatever is under way. */
  stop(): Promise<void>;
}

export interface Run {
  /** Undefined: it was killed. */
  readonly code: number | undefined;
  readonly report: Report | undefined;
  readonly stderr: string;
  readonly startedMs: number;
  readonly endedMs: number;
  /** What the source had then, if it could be asked. */
  readonly left?: ReadonlySet<string> | undefined;
}

/** @param listSource lists the source's keys. */
export function keepImporting(
  args: readonly string[],
  listSource: () => Promise<readonly string[]>,
  trace: (what: string) => void,
): Importer {
  const runs: Run[] = [];
  let current: CliRun | undefined;
  let ending = false;

  // Once all was in the cluster the job is over. Whatever is written at the source from then on is
  // another one's, which must not touch what has arrived.
  const isComplete = (): boolean => runs.some(({ code }) => code === 0);
  const again = [...args.filter((word) => !word.endsWith('replace')), '--no-replace'];

  async function once(): Promise<Run> {
    const startedMs = Date.now();
    current = startCli([...(isComplete() ? again : args), '--json', '--quiet']);
    const { code, stdout, stderr } = await current.done;
    current = undefined;
    const report = stdout.startsWith('{') ? (JSON.parse(stdout) as Report) : undefined;
    const endedMs = Date.now();
    const left = await listSource().then(
      (keys) => new Set(keys),
      () => undefined,
    );
    const run = { code, report, stderr, startedMs, endedMs, left };
    runs.push(run);
    trace(`the import ended with ${String(code)} ${JSON.stringify(report?.keys ?? stderr)}`);
    return run;
  }

  async function keepOn(): Promise<void> {
    while (!ending) await once();
  }

  const keepingOn = keepOn();
  keepingOn.catch(() => undefined);

  return {
    get busy() {
      return current !== undefined;
    },
    get pid() {
      return current?.pid;
    },
    runs,
    async kill() {
      const killed = current;
      killed?.signal('SIGKILL');
      await killed?.done;
    },
    async finish() {
      ending = true;
      await keepingOn;
    },
    once,
    async stop() {
      ending = true;
      await this.kill();
    },
  };
}
