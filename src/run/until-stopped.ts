/**
 * Ends the wait for something that knows no signal itself: finding out before the start, where servers
 * may be silent. What it would have brought is closed when it comes all the same.
 */
import { unlessAborted } from '../async.js';
import { StoppedError } from '../errors.js';

/** @throws StoppedError when the signal comes first. */
export async function untilStopped<T extends { close(): void }>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  try {
    return await unlessAborted(work, signal);
  } catch (error) {
    if (error !== signal.reason) throw error;
    work.then(
      (late) => {
        late.close();
      },
      () => undefined,
    );
    throw new StoppedError('Stopped before the start: nothing was moved.');
  }
}
