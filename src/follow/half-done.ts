/**
 * A cutover that was killed between the first source that it made to refuse writes for good and the last one. The
 * cluster has taken over then: clients of the first may have gone there. So the next start of the job finishes it, and
 * says where writes may have come since.
 */
import { PreflightError } from '../errors.js';
import type { Control } from '../redis/control.js';
import { SourceLine } from './source-line.js';
import { leftBefore, letWrite, writeRefusal } from './fence.js';

/** @returns where the server's writes are held. */
export type OpenWrites = () => Promise<Control>;

/**
 * Makes a server refuse writes for good.
 * @returns how many replicas it wanted for a write before; undefined: it does not let us.
 * @throws ConnectionError
 */
export async function shutServer(open: OpenWrites): Promise<number | undefined> {
  const line = new SourceLine(open);
  try {
    return await writeRefusal(line).shut();
  } finally {
    line.close();
  }
}

/**
 * Lets writes go on at a server that a cutover which was given up has left refusing them.
 * @throws ConnectionError
 */
export async function reopenServer(open: OpenWrites): Promise<void> {
  const line = new SourceLine(open);
  try {
    await line.use(async (control) => {
      const left = await leftBefore(control);
      if (left) await letWrite(control, left);
    });
  } finally {
    line.close();
  }
}

/** Of a source that a cutover has left refusing writes. @param replicas how many it wanted for a write before. */
export function hasTakenOver({
  address,
  replicas,
}: {
  readonly address: string;
  readonly replicas: number;
}): PreflightError {
  return new PreflightError(
    `${address} refuses writes, as a cutover leaves it: the cluster has taken over. Set its min-replicas-to-write to ${String(replicas)} if it is to be followed once more, by an empty cluster.`,
  );
}

/** A server of the job, as the cutovers before have left it. */
export interface FoundServer {
  readonly open: OpenWrites;
  readonly address: string;
  /** A cutover has left it refusing writes. */
  readonly isShut: boolean;
  readonly replicas: number;
}

/**
 * @param servers all that the job follows, each once.
 * @throws PreflightError where all refuse writes for good.
 */
export async function findServers(servers: readonly OpenWrites[]): Promise<readonly FoundServer[]> {
  const found = await Promise.all(
    servers.map(async (open) => {
      const control = await open();
      try {
        const left = await leftBefore(control);
        const { address } = control;
        return { open, address, isShut: left?.state === 'shut', replicas: left?.replicas ?? 0 };
      } finally {
        control.close();
      }
    }),
  );
  const [first] = found;
  if (first && found.every(({ isShut }) => isShut)) throw hasTakenOver(first);
  return found;
}

/**
 * To be called for a job that goes on.
 * @throws PreflightError where some refuse writes for good. All do by then, or it says which don't.
 */
export async function finishCutover(found: readonly FoundServer[]): Promise<void> {
  const shut = found.filter(({ isShut }) => isShut);
  const others = found.filter(({ isShut }) => !isShut);
  if (shut.length === 0 || others.length === 0) return;
  const writable: string[] = [];
  for (const { open, address } of others) {
    if ((await shutServer(open)) === undefined) writable.push(address);
  }
  const list = (all: readonly { readonly address: string }[]): string =>
    all.map(({ address }) => address).join(', ');
  const done =
    writable.length === 0
      ? 'they refuse writes from now on'
      : `${writable.join(', ')} could not be made to refuse them: keep its clients off`;
  throw new PreflightError(
    `A cutover was killed midway: ${list(shut)} refused writes, ${list(others)} did not yet, and ${done}. The cluster has taken over; what was written to ${list(others)} since is not there: compare with verify.`,
  );
}
