/**
 * The probe's own thread: another client of each source, which asks it for a PING again and again,
 * and reports how long the answers took.
 *
 * A thread, because on the run's own event loop an answer that is there already waits until the keys
 * ahead of it are dealt with: that would be our latency and not the source's. It asks on time
 * whether or not the last answer is there, so that a source that stands still for 50 ms keeps ten
 * questions waiting and not one. One thread for all sources: each costs memory.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';

export interface ProbeData {
  readonly endpoints: readonly Endpoint[];
  readonly timeoutMs: number;
  readonly askEveryMs: number;
  readonly tellEveryMs: number;
}

/** What was seen since the last word. */
export interface Seen {
  /** Which of the endpoints it is about. */
  readonly place: number;
  readonly longestMs: number;
}

const againAfterMs = 500;

const { endpoints, timeoutMs, askEveryMs, tellEveryMs } = workerData as ProbeData;
await Promise.all(endpoints.map(follow));

async function follow(endpoint: Endpoint, place: number): Promise<never> {
  for (;;) {
    try {
      await watch(await connect(await located(endpoint), { timeoutMs, isNamed: true }), place);
    } catch {
      // The pipeline reports a lost source.
      await delay(againAfterMs);
    }
  }
}

/** What asks Sentinels takes several times as long to load as all the rest. */
async function located(endpoint: Endpoint): Promise<Endpoint> {
  if (!endpoint.sentinels) return endpoint;
  const { locate } = await import('../redis/sentinel.js');
  return locate(endpoint, timeoutMs);
}

/** Until it is lost. */
async function watch(source: Connection, place: number): Promise<void> {
  const askedAt = new Set<number>();
  let longestMs = 0;

  async function ask(): Promise<void> {
    const sentMs = performance.now();
    askedAt.add(sentMs);
    await source.call('PING').catch(() => undefined);
    askedAt.delete(sentMs);
    if (!source.lost) longestMs = Math.max(longestMs, performance.now() - sentMs);
  }

  function tell(): void {
    // What is not answered yet has waited for so long already.
    const [oldest] = askedAt;
    const waitingMs = oldest === undefined ? 0 : performance.now() - oldest;
    const seen: Seen = { place, longestMs: Math.max(longestMs, waitingMs) };
    longestMs = 0;
    if (seen.longestMs > 0) parentPort?.postMessage(seen);
  }

  const asking = setInterval(() => void ask(), askEveryMs);
  const telling = setInterval(tell, tellEveryMs);
  await new Promise<void>((resolve) => {
    source.onLost(() => {
      resolve();
    });
  });
  clearInterval(asking);
  clearInterval(telling);
}
