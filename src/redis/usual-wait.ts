/** What a client of a server waits for an answer, as long as we ask for nothing else. */
import { setTimeout as delay } from 'node:timers/promises';

const leastTries = 3;
const askEveryMs = 5;
const usualShare = 0.75;

/**
 * @param ping asks for the least that there is.
 * @param forMs how long others are watched at work, who make us wait; 0: the way is all that counts.
 * @returns in ms: what most answers came within.
 */
export async function usualWait(ping: () => Promise<unknown>, forMs: number): Promise<number> {
  const waitsMs: number[] = [];
  const endMs = performance.now() + forMs;
  while (waitsMs.length < leastTries || performance.now() < endMs) {
    const sentMs = performance.now();
    await ping();
    waitsMs.push(performance.now() - sentMs);
    if (forMs > 0) await delay(askEveryMs);
  }
  waitsMs.sort((one, other) => one - other);
  const place = forMs > 0 ? Math.floor(waitsMs.length * usualShare) : 0;
  return waitsMs[place] ?? 0;
}
