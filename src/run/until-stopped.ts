/**
 * Ends the wait for something that knows no signal itself: finding out before the start, where servers
 * may be silent. What it would have brought is closed when it comes all the same.
 */
import { StoppedError } from '../errors.js';

/** @throws StoppedError when the signal comes first. */
export async function untilStopped<T extends { close(): void }>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => {
      reject(new StoppedError('Stopped before the start: nothing was moved.'));
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } catch (error) {
    work.then(
      (late) => {
        late.close();
      },
      () => undefined,
    );
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
