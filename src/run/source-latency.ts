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
  /** From now on this is the most; undefined: nobody minds. */
  limit(latencyMs: number | undefined): void;
  /** Somebody wants to be told, though there is no limit. */
  begin(): void;
  stop(): void;
}

/** A server that keys are taken from, whatever its databases. */
export interface ProbedServer {
  /** Any of its databases. */
  readonly source: ServerSourceFacts;
  readonly allowance: Allowance;
}

/** @param tell is told of the server whose clients wait longest. */
export function probeServers(
  servers: readonly ProbedServer[],
  timeoutMs: number,
  tell: (seconds: number) => void,
): SourceLatency {
  const endpoints = servers.map(({ source }) => source.endpoint);
  const last = servers.map((): number[] => []);
  const isLimited = (): boolean => servers.some(({ allowance }) => allowance.limitMs !== undefined);
  let probe: Probe | undefined;
  let later: NodeJS.Timeout | undefined;
  let isStopped = false;
  if (isLimited()) start();

  function start(): void {
    clearTimeout(later);
    probe?.stop();
    probe = undefined;
    if (endpoints.length === 0 || isStopped) return;
    const pace = isLimited() ? paces.limited : paces.unlimited;
    const toldOver = toldOverMs / pace.tellEveryMs;
    for (const waits of last) waits.length = 0;
    probe = startProbe({ endpoints, timeoutMs, ...pace }, ({ place, longestMs }) => {
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
