/**
 * How long the source's clients wait: a few PINGs a second while nobody minds, and many while a limit
 * is set, which the amount under way then follows (engine/allowance.ts).
 */
import type { Allowance } from '../engine/allowance.js';
import { type Probe, startProbe } from '../monitor/probe.js';
import type { SourceFacts } from '../preflight/source-facts.js';

/** The probe tells ten times a second; people are told the longest wait of a second. */
const toldOver = 10;
const askEveryMs = { limited: 5, unlimited: 100 } as const;
/** Runs that are over by then need no thread for this. */
const unlimitedAfterMs = 500;

export interface SourceLatency {
  /** From now on this is the most; undefined: nobody minds. */
  limit(latencyMs: number | undefined): void;
  stop(): void;
}

/** A server that keys are taken from, whatever its databases. */
export interface FollowedServer {
  /** Any of its databases. */
  readonly source: SourceFacts;
  readonly allowance: Allowance;
}

/** @param tell is told of the server whose clients wait longest. */
export function followServers(
  servers: readonly FollowedServer[],
  timeoutMs: number,
  tell: (seconds: number) => void,
): SourceLatency {
  const endpoints = servers.map(({ source }) => source.endpoint);
  const last = servers.map((): number[] => []);
  const isLimited = (): boolean => servers.some(({ allowance }) => allowance.limitMs !== undefined);
  let probe: Probe | undefined;
  const later = setTimeout(start, unlimitedAfterMs).unref();
  if (isLimited()) start();

  function start(): void {
    clearTimeout(later);
    probe?.stop();
    probe = undefined;
    if (endpoints.length === 0) return;
    const every = isLimited() ? askEveryMs.limited : askEveryMs.unlimited;
    const data = { endpoints, timeoutMs, askEveryMs: every };
    probe = startProbe(data, ({ place, longestMs }) => {
      servers[place]?.allowance.note(longestMs);
      const waits = last[place] ?? [];
      waits.push(longestMs);
      if (waits.length > toldOver) waits.shift();
      tell(Math.max(...last.flat()) / 1000);
    });
  }

  return {
    limit(latencyMs) {
      const wasLimited = isLimited();
      for (const { allowance } of servers) allowance.limit(latencyMs);
      if (wasLimited !== isLimited()) start();
    },
    stop() {
      clearTimeout(later);
      probe?.stop();
    },
  };
}
