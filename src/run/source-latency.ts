/**
 * How long the source's clients wait: a few PINGs a second while nobody minds, and many while a limit
 * is in force, which the amount under way then follows (limits/limits.ts). Whether one is may depend on whether
 * others are at work there (limits/quiet.ts), which is looked at once a second.
 */
import { unlessAborted } from '../async.js';
import type { Allowance } from '../limits/limits.js';
import { createQuiet, type LatencyBound, leastMs } from '../limits/quiet.js';
import type { LimitOptions, PatienceOptions } from '../options/options.js';
import { reopenedControl } from '../redis/reopened-control.js';
import { type Probe, startProbe } from '../watch/probe.js';
import type { ServerSourceFacts } from '../plan/source-facts.js';
import { SourceClients } from './source-clients.js';

/** Often enough for a run to follow; and for people, who are told the longest wait of a second. */
const paces = {
  limited: { askEveryMs: 5, tellEveryMs: 100 },
  unlimited: { askEveryMs: 200, tellEveryMs: 1000 },
} as const;
const toldOverMs = 1000;
/** Runs that are over by then need no thread for this. */
const unlimitedAfterMs = 500;
const lookEveryMs = 1000;

export interface SourceLatency {
  /** What was asked for. */
  readonly bound: LatencyBound;
  /** What a client may have to wait now; undefined: nobody minds. */
  readonly limitMs: number | undefined;
  /** How many keys may be under way at the sources for that; undefined: as many as there are. */
  readonly allowedKeys: number | undefined;
  /** How many other clients are at work at the sources; undefined: nobody knows. */
  readonly others: number | undefined;
  /** There are clients that could wait: of files there are none. */
  readonly hasServers: boolean;
  /** From now on this holds. */
  bind(bound: LatencyBound): void;
  /** Following has to keep up with the sources' clients, and what it copies is what they change: `auto` ends with the first copy. */
  keepUp(mustKeepUp: boolean): void;
  /** To be called before the first key: learns what the sources' clients wait for without us. */
  ready(signal: AbortSignal): Promise<void>;
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

export function probeServers(
  servers: readonly ProbedServer[],
  { maxSourceLatencyMs, timeoutMs }: LimitOptions & PatienceOptions,
): SourceLatency {
  const clients = servers.map(({ source, allowance }) => {
    const control = reopenedControl(source.endpoint, { side: 'from', timeoutMs });
    return new SourceClients(createQuiet(allowance, maxSourceLatencyMs), control);
  });
  const endpoints = servers.map(({ source }) => source.endpoint);
  const last = servers.map((): number[] => []);
  let bound: LatencyBound = maxSourceLatencyMs;
  let probe: Probe | undefined;
  let pace: (typeof paces)[keyof typeof paces] | undefined;
  let isWanted = false;
  let later: NodeJS.Timeout | undefined;
  let looking: NodeJS.Timeout | undefined;
  /** Each is a chain of looks, of which only the latest goes on. */
  let chain = 0;
  let isStopped = false;
  const listeners: ((seconds: number) => void)[] = [];
  const limitMs = (): number | undefined =>
    leastMs(servers.map(({ allowance }) => allowance.limitMs));
  keepPace();

  /** As often as the limits need it, and not at all where nobody wants to know. */
  function keepPace(): void {
    const isLimited = limitMs() !== undefined;
    const wanted = isLimited ? paces.limited : isWanted ? paces.unlimited : undefined;
    if (wanted === pace || isStopped || endpoints.length === 0) return;
    probe?.stop();
    probe = undefined;
    pace = wanted;
    for (const waits of last) waits.length = 0;
    if (wanted) start(wanted);
  }

  function start(wanted: (typeof paces)[keyof typeof paces]): void {
    const toldOver = toldOverMs / wanted.tellEveryMs;
    probe = startProbe(
      { endpoints, timeoutMs, isNamed: true, words: ['PING'], ...wanted },
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

  /** @param mine a chain that is not the latest any more ends. */
  function lookLater(mine: number): void {
    if (isStopped || mine !== chain || bound !== 'auto') return;
    looking = setTimeout(() => void look(mine), lookEveryMs).unref();
  }

  async function look(mine: number): Promise<void> {
    await Promise.all(clients.map((one) => one.look()));
    keepPace();
    lookLater(mine);
  }

  async function ready(signal: AbortSignal): Promise<void> {
    const mine = chain;
    if (bound === 'auto') {
      const looked = Promise.all(clients.map((one) => one.lookFirst()));
      await unlessAborted(looked, signal).catch(() => undefined);
    }
    keepPace();
    lookLater(mine);
  }

  return {
    get bound() {
      return bound;
    },
    get limitMs() {
      return limitMs();
    },
    get allowedKeys() {
      const keys = servers.reduce((sum, { allowance }) => sum + allowance.keys, 0);
      return keys === Infinity ? undefined : keys;
    },
    get others() {
      return clients.reduce<number | undefined>(
        (sum, { quiet: { others } }) =>
          sum === undefined || others === undefined ? undefined : sum + others,
        0,
      );
    },
    hasServers: servers.length > 0,
    onTold: (listener) => listeners.push(listener),
    bind(next) {
      bound = next;
      for (const { quiet } of clients) quiet.bind(next);
      keepPace();
      clearTimeout(looking);
      chain++;
      if (bound === 'auto' && !isStopped) void look(chain);
    },
    keepUp(mustKeepUp) {
      for (const { quiet } of clients) quiet.keepUp(mustKeepUp);
      keepPace();
    },
    ready,
    begin() {
      later ??= setTimeout(() => {
        isWanted = true;
        keepPace();
      }, unlimitedAfterMs).unref();
    },
    stop() {
      isStopped = true;
      clearTimeout(later);
      clearTimeout(looking);
      probe?.stop();
      for (const one of clients) one.close();
    },
  };
}
