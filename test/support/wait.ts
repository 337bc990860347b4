/**
 * Waiting for conditions, so that no test ever sleeps for a time somebody guessed: it goes on as soon
 * as it can, and when it never can, it fails with the name of what it waited for. The limit only ends
 * what hangs: it is far beyond what the busiest machine takes, and below the limit of a test.
 */
import { setTimeout as sleep } from 'node:timers/promises';

interface WaitOptions {
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

/**
 * Asks again and again until the answer is not false, undefined or null, and gives it back.
 * An error counts as "not yet"; it is the cause of the failure if time runs out.
 */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T | false | undefined | null> | T | false | undefined | null,
  { timeoutMs = 240_000, everyMs = 5 }: WaitOptions = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      const answer = await condition();
      if (answer !== false && answer !== undefined && answer !== null) return answer;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await sleep(everyMs);
  }
  throw new Error(`waited ${String(timeoutMs)} ms in vain for ${what}`, { cause });
}
