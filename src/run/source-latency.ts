/**
 * How long the source's clients wait: a PING a second while nobody minds, and many from a thread of
 * their own while a limit is set, which the amount under way then follows (engine/allowance.ts).
 */
import type { Allowance } from '../engine/allowance.js';
import { probeLatency } from '../monitor/latency.js';
import { type Probe, startProbe } from '../monitor/probe.js';
import type { SourceFacts } from '../preflight/source-facts.js';

/** The probe tells ten times a second; people are told the longest wait of a second. */
const toldOver = 10;

export interface SourceLatency {
  /** From now on this is the most; undefined: nobody minds. */
  limit(latencyMs: number | undefined): void;
  stop(): void;
}

function followLatency(
  { control, endpoint }: SourceFacts,
  timeoutMs: number,
  allowance: Allowance,
  tell: (seconds: number) => void,
): SourceLatency {
  let probe = start();

  function start(): Probe {
    if (allowance.limitMs === undefined) return probeLatency(() => control.call('PING'), tell);
    const last: number[] = [];
    return startProbe({ endpoint, timeoutMs }, ({ longestMs }) => {
      allowance.note(longestMs);
      last.push(longestMs);
      if (last.length > toldOver) last.shift();
      tell(Math.max(...last) / 1000);
    });
  }

  return {
    limit(latencyMs) {
      const wasLimited = allowance.limitMs !== undefined;
      allowance.limit(latencyMs);
      if (wasLimited === (latencyMs !== undefined)) return;
      probe.stop();
      probe = start();
    },
    stop() {
      probe.stop();
    },
  };
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
  const lastSeconds = new Map<FollowedServer, number>();
  const followed = servers.map((server) =>
    followLatency(server.source, timeoutMs, server.allowance, (seconds) => {
      lastSeconds.set(server, seconds);
      tell(Math.max(...lastSeconds.values()));
    }),
  );
  return {
    limit(latencyMs) {
      for (const one of followed) one.limit(latencyMs);
    },
    stop() {
      for (const one of followed) one.stop();
    },
  };
}
