/** Waiting, once: below everything that waits. */
import { setTimeout as delay } from 'node:timers/promises';

interface Waiting {
  readonly holds: () => boolean;
  readonly go: () => void;
}

/**
 * Where others wait for what they need to come true. Whoever changes anything of that calls `check`.
 *
 * A condition is asked in the order in which they came, and may take what it has waited for, so that
 * those behind find it taken: `until(() => free > 0 && free-- > 0)`. Whoever has gone on is not
 * asked again: what others may take back meanwhile has to be looked at once more.
 */
export class Gate {
  #waiting: readonly Waiting[] = [];

  /** Waits until it holds: now, or at a later `check`. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((go) => {
      this.#waiting = [...this.#waiting, { holds, go }];
    });
  }

  /** Lets those go on whose condition holds now. */
  check(): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter(({ holds, go }) => {
      if (!holds()) return true;
      go();
      return false;
    });
  }
}

/** The same work, which rejects with the signal's reason when that comes first. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    // Also where nobody waits for it any more: what it comes to has to be heard.
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort);
    });
  });
}

/**
 * What the work comes to, or `otherwise` if it goes on for longer than that.
 * @throws what the work throws by then.
 */
export async function within<T, O>(ms: number, work: Promise<T>, otherwise: O): Promise<T | O> {
  const enough = new AbortController();
  const late = delay(ms, otherwise, { signal: enough.signal }).catch(() => otherwise);
  try {
    return await Promise.race([work, late]);
  } finally {
    enough.abort();
  }
}

/** @returns false where it goes on for longer; that it fails is as good as done. */
export function isDoneWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  const isDone = work.then(
    () => true,
    () => true,
  );
  return within(ms, isDone, false);
}

/** Works on each of some, so many at a time, and begins no other once the signal is aborted. */
export async function forEach<T>(
  some: readonly T[],
  signal: AbortSignal,
  atOnce: number,
  work: (one: T, at: number) => Promise<void>,
): Promise<void> {
  const entries = some.entries();
  let failed = false;
  const workers = Array.from({ length: Math.min(atOnce, some.length) }, async () => {
    for (const [at, one] of entries) {
      if (failed || signal.aborted) return;
      try {
        await work(one, at);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  });
  const ended = await Promise.allSettled(workers);
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}
