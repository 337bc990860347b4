/**
 * The probe's own thread: another client of each server, which asks it a question again and again,
 * and reports how long the answers took.
 *
 * A thread, because on the run's own event loop an answer that is there already waits until the keys
 * ahead of it are dealt with: that would be our latency and not the source's. It asks on time
 * whether or not the last answer is there, so that a source that stands still for 50 ms keeps ten
 * questions waiting and not one. One thread for all sources, and one for all nodes: each costs memory.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import { createWaits, type Waits } from './waits.js';

export interface ProbeData {
  readonly endpoints: readonly Endpoint[];
  readonly timeoutMs: number;
  /** As in `ConnectOptions`; false if not given. */
  readonly isNamed?: boolean;
  /** `PING`, or what is wanted to be known besides. */
  readonly words: readonly string[];
  readonly askEveryMs: number;
  readonly tellEveryMs: number;
}

/** What was seen since the last word. */
export interface Seen {
  /** Which of the endpoints it is about. */
  readonly place: number;
  readonly longestMs: number;
  /** The latest answer; null: none came, or it was refused. */
  readonly reply: string | null;
}

const againAfterMs = 500;

const {
  endpoints,
  timeoutMs,
  isNamed = false,
  words,
  askEveryMs,
  tellEveryMs,
} = workerData as ProbeData;
await Promise.all(endpoints.map(follow));

async function follow(endpoint: Endpoint, place: number): Promise<never> {
  const waits = createWaits();
  let latest: string | null = null;

  function tell(): void {
    const seen: Seen = { place, longestMs: waits.take(), reply: latest };
    latest = null;
    if (seen.longestMs > 0) parentPort?.postMessage(seen);
  }

  // Also while there is no connection: a source that stands still answers none of those who open one.
  setInterval(tell, tellEveryMs);
  for (;;) {
    const triedMs = performance.now();
    waits.connecting();
    try {
      const source = await connect(await located(endpoint), { timeoutMs, isNamed });
      waits.connected();
      await watch(source, waits, (reply) => (latest = reply));
    } catch {
      // The pipeline reports a lost source.
      if (performance.now() - triedMs < timeoutMs / 2) waits.refused();
      await delay(againAfterMs);
    }
  }
}

/** What asks Sentinels takes several times as long to load as all the rest. */
async function located(endpoint: Endpoint): Promise<Endpoint> {
  if (!endpoint.sentinels) return endpoint;
  const { locate } = await import('../redis/control.js');
  return locate(endpoint, timeoutMs);
}

/** Until it is lost. */
async function watch(
  source: Connection,
  waits: Waits,
  hear: (reply: string) => void,
): Promise<void> {
  async function ask(): Promise<void> {
    const askedAtMs = waits.asked();
    const reply = await source.call(...words).catch(() => undefined);
    if (source.lost) return;
    if (reply !== undefined && !(reply instanceof ErrorReply)) hear(textOf(reply));
    waits.answered(askedAtMs);
  }

  void ask();
  const asking = setInterval(() => void ask(), askEveryMs);
  await new Promise<void>((resolve) => {
    source.onLost(() => {
      resolve();
    });
  });
  clearInterval(asking);
  waits.lost();
}
