/** Runs the import again and again with the same command, as an operator would, until told to end. */
import type { Report } from '../../src/report.js';
import { startCli, type CliRun } from '../support/cli.js';

/** The run under way, as faults know it. */
export interface CurrentRun {
  /** Whether a run is under way. */
  readonly busy: boolean;
  /** Of the run under way. */
  readonly pid: number | undefined;
  /** Kills the run that is under way with SIGKILL. */
  kill(): Promise<void>;
}

export interface Importer extends CurrentRun {
  readonly runs: readonly Run[];
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

/** Starts runs, one at a time. */
export class Starter implements CurrentRun {
  #current: CliRun | undefined;

  get busy(): boolean {
    return this.#current !== undefined;
  }

  get pid(): number | undefined {
    return this.#current?.pid;
  }

  /** Starts the command, and resolves when it has ended. */
  async run(args: readonly string[]): Promise<Run> {
    const startedMs = Date.now();
    this.#current = startCli([...args, '--json', '--quiet']);
    const { code, stdout, stderr } = await this.#current.done;
    this.#current = undefined;
    return { code, report: reportIn(stdout), stderr, startedMs, endedMs: Date.now() };
  }

  async kill(): Promise<void> {
    const killed = this.#current;
    killed?.signal('SIGKILL');
    await killed?.done;
  }
}

/** What a run printed; undefined: it was refused, or killed. */
function reportIn(stdout: string): Report | undefined {
  if (!stdout.startsWith('{')) return undefined;
  const printed = JSON.parse(stdout) as Partial<Report>;
  return printed.keys === undefined ? undefined : (printed as Report);
}

/** @param listSource lists the source's keys. */
export function keepImporting(
  args: readonly string[],
  listSource: () => Promise<readonly string[]>,
  trace: (what: string) => void,
): Importer {
  const runs: Run[] = [];
  const starter = new Starter();
  let ending = false;

  // Once all was in the cluster the job is over. Whatever is written at the source from then on is
  // another one's, which must not touch what has arrived.
  const isComplete = (): boolean => runs.some(({ code }) => code === 0);
  const again = [...args.filter((word) => !word.endsWith('replace')), '--no-replace'];

  async function once(): Promise<Run> {
    const ended = await starter.run(isComplete() ? again : args);
    const { code, report, stderr } = ended;
    const left = await listSource().then(
      (keys) => new Set(keys),
      () => undefined,
    );
    const run = { ...ended, left };
    runs.push(run);
    trace(
      `the import ended with ${String(code)} ${report?.error ?? ''} ${JSON.stringify(report?.keys ?? stderr)}`,
    );
    return run;
  }

  async function keepOn(): Promise<void> {
    while (!ending) await once();
  }

  const keepingOn = keepOn();
  keepingOn.catch(() => undefined);

  return {
    get busy() {
      return starter.busy;
    },
    get pid() {
      return starter.pid;
    },
    runs,
    kill: () => starter.kill(),
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
