/**
 * How long the source's clients wait: a few PINGs a second while nobody minds, and many while a limit
 * is set, which the amount under way then follows (limits/allowance.ts).
 */
import type { Allowance } from '../limits/allowance.js';
import { type Probe, startProbe } from '../watch/probe.js';
import type { ServerSourceFacts } from '../preflight/source-facts.js';

/** Often enough for a run to follow; and for people, who are told the longest wait of a second. */
const paces = {
  limited: { askEveryMs: 5, tellEveryMs: 100 },
  unlimited: { askEveryMs: 200, tellEveryMs: 1000 },
} as const;
const toldOverMs = 1000;
/** Runs that are over by then need no thread for this. */
const unlimitedAfterMs = 500;

export interface SourceLatency {
  /** What a client may have to wait; undefined: nobody minds. */
  readonly limitMs: number | undefined;
  /** How many keys may be under way at the sources for that; undefined: as many as there are. */
  readonly allowedKeys: number | undefined;
  /** There are clients that could wait: of files there are none. */
  readonly hasServers: boolean;
  /** From now on this is the most; undefined: nobody minds. */
  limit(latencyMs: number | undefined): void;
  /** Somebody wants to be told, though there is no limit. */
  begin(): void;
  /** Calls back with the longest wait of the last moment, at the server whose clients wait longest. */
  onTold(listener: (seconds: number) => void): void;
  stop(): void;
}

/** A server that keys are taken from, whatever its databases. */
export interface ProbedServer {
  /** Any of its databases. */
  readonly source: ServerSourceFacts;
  readonly allowance: Allowance;
}

export function probeServers(servers: readonly ProbedServer[], timeoutMs: number): SourceLatency {
  const endpoints = servers.map(({ source }) => source.endpoint);
  const last = servers.map((): number[] => []);
  const isLimited = (): boolean => servers.some(({ allowance }) => allowance.limitMs !== undefined);
  let probe: Probe | undefined;
  let later: NodeJS.Timeout | undefined;
  let isStopped = false;
  const listeners: ((seconds: number) => void)[] = [];
  if (isLimited()) start();

  function start(): void {
    clearTimeout(later);
    probe?.stop();
    probe = undefined;
    if (endpoints.length === 0 || isStopped) return;
    const pace = isLimited() ? paces.limited : paces.unlimited;
    const toldOver = toldOverMs / pace.tellEveryMs;
    for (const waits of last) waits.length = 0;
    probe = startProbe(
      { endpoints, timeoutMs, words: ['PING'], ...pace },
      ({ place, longestMs }) => {
        servers[place]?.allowance.note(longestMs);
        const waits = last[place] ?? [];
        waits.push(longestMs);
        if (waits.length > toldOver) waits.shift();
        const longest = Math.max(...last.flat()) / 1000;
        for (const listener of listeners) listener(longest);
      },
    );
  }

  return {
    get limitMs() {
      return servers[0]?.allowance.limitMs;
    },
    get allowedKeys() {
      const keys = servers.reduce((sum, { allowance }) => sum + allowance.keys, 0);
      return keys === Infinity ? undefined : keys;
    },
    hasServers: servers.length > 0,
    onTold: (listener) => listeners.push(listener),
    limit(latencyMs) {
      const wasLimited = isLimited();
      for (const { allowance } of servers) allowance.limit(latencyMs);
      if (wasLimited !== isLimited()) start();
    },
    begin() {
      if (!probe && !isStopped) later ??= setTimeout(start, unlimitedAfterMs).unref();
    },
    stop() {
      isStopped = true;
      clearTimeout(later);
      probe?.stop();
    },
  };
}
