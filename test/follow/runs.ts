/** Starts the same command again, as an operator would, until the cluster has taken over. */
import { type CurrentRun, type Run, Starter } from '../chaos/importer.js';

export interface Runs extends CurrentRun {
  readonly all: readonly Run[];
  /** The cluster has taken over, and no run is under way any more. */
  readonly isOver: boolean;
  /** Ends at once, whatever is under way. */
  stop(): Promise<void>;
}

export function keepFollowing(args: readonly string[], trace: (what: string) => void): Runs {
  const all: Run[] = [];
  const starter = new Starter();
  let isStopping = false;
  let isOver = false;

  async function keepOn(): Promise<void> {
    while (!isStopping && !isOver) {
      const run = await starter.run(args);
      all.push(run);
      const { code, report, stderr } = run;
      trace(`the run ended with ${String(code)} ${report?.error ?? stderr.trim()}`);
      isOver = code === 0 || hasTakenOver(run);
    }
  }

  const keepingOn = keepOn();
  keepingOn.catch(() => undefined);
  return {
    all,
    get busy() {
      return starter.busy;
    },
    get pid() {
      return starter.pid;
    },
    get isOver() {
      return isOver;
    },
    kill: () => starter.kill(),
    async stop() {
      isStopping = true;
      await starter.kill();
      await keepingOn;
    },
  };
}

/** The run before was killed behind its cutover, and this one has nothing left to do. */
export function hasTakenOver({ stderr }: Run): boolean {
  return stderr.includes('the cluster has taken over');
}
