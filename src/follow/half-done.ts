/**
 * A cutover that was killed between the first source that it made to refuse writes for good and the last one. The
 * cluster has taken over then: clients of the first may have gone there. So the next start of the job finishes it, and
 * says where writes may have come since.
 */
import { PreflightError } from '../errors.js';
import type { Control } from '../redis/control.js';
import { SourceLine } from './source-line.js';
import { leftBefore, writeRefusal } from './write-refusal.js';

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
 * @param servers all that the job follows, each once.
 * @throws PreflightError where some refuse writes for good and some did not: they do by now, or it says why not.
 */
export async function finishCutover(servers: readonly OpenWrites[]): Promise<void> {
  const found = await Promise.all(
    servers.map(async (open) => {
      const control = await open();
      try {
        const left = await leftBefore(control);
        return { open, address: control.address, isShut: left?.state === 'shut' };
      } finally {
        control.close();
      }
    }),
  );
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
