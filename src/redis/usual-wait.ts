/** What a client of a server waits for an answer, as long as we ask for nothing else. */
import { setTimeout as delay } from 'node:timers/promises';

/** Where nobody else asks for anything, the way is all that counts. */
const quietTries = 3;
const busyTries = 40;
const askEveryMs = 5;
const usualShare = 0.75;

/**
 * @param ping asks for the least that there is.
 * @param isUsed others are at work there: then it takes a fifth of a second to know.
 * @returns in ms: what most answers came within.
 */
export async function usualWait(ping: () => Promise<unknown>, isUsed: boolean): Promise<number> {
  const waitsMs: number[] = [];
  for (let nth = 0; nth < (isUsed ? busyTries : quietTries); nth++) {
    const sentMs = performance.now();
    await ping();
    waitsMs.push(performance.now() - sentMs);
    if (isUsed) await delay(askEveryMs);
  }
  waitsMs.sort((one, other) => one - other);
  const place = isUsed ? Math.floor(waitsMs.length * usualShare) : 0;
  return waitsMs[place] ?? 0;
}
