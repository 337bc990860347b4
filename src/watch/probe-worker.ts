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
  for (;;) {
    try {
      await watch(await connect(await located(endpoint), { timeoutMs, isNamed }), place);
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
  let latest: string | null = null;

  async function ask(): Promise<void> {
    const sentMs = performance.now();
    askedAt.add(sentMs);
    const reply = await source.call(...words).catch(() => undefined);
    if (reply !== undefined && !(reply instanceof ErrorReply)) latest = textOf(reply);
    askedAt.delete(sentMs);
    if (!source.lost) longestMs = Math.max(longestMs, performance.now() - sentMs);
  }

  function tell(): void {
    // What is not answered yet has waited for so long already.
    const [oldest] = askedAt;
    const waitingMs = oldest === undefined ? 0 : performance.now() - oldest;
    const seen: Seen = { place, longestMs: Math.max(longestMs, waitingMs), reply: latest };
    longestMs = 0;
    latest = null;
    if (seen.longestMs > 0) parentPort?.postMessage(seen);
  }

  void ask();
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
