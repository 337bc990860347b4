/**
 * How long the source's clients wait: a few PINGs a second while nobody minds, and many while a limit
 * is in force, which the amount under way then follows (limits/limits.ts). Whether one is may depend on whether
 * others are at work there (limits/quiet.ts), which is looked at once a second.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { unlessAborted } from '../async.js';
import type { Allowance } from '../limits/limits.js';
import { createQuiet, type LatencyBound, leastMs, type Quiet } from '../limits/quiet.js';
import type { LimitOptions, PatienceOptions } from '../options/options.js';
import { parseInfo, reopenedControl, type ReopenedControl } from '../redis/control.js';
import { type Probe, startProbe } from '../watch/probe.js';
import type { ServerSourceFacts } from '../plan/source-facts.js';
import { RefusedError } from '../errors.js';
import { countOthersAtWork } from '../redis/other-clients.js';

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

/*
 * The other clients of one source: whether they are at work there, and what they wait for while the run does
 * nothing. By that they are spared (limits/quiet.ts).
 */

/** Who is at work asks for something in that time, in ms; so few commands are those of Sentinels and replicas. */
const watchedMs = 50;
const restingCommands = 2;
/** In ms: enough to know what the source's clients wait. */
const measuredMs = 250;

class SourceClients {
  #asked = 0;
  #isMeasured = false;

  /** @param control a connection of its own: what is asked over it is told from what others ask. */
  constructor(
    readonly quiet: Quiet,
    readonly control: ReopenedControl,
  ) {}

  /** To be called before the first key. What can't be asked now is not known: the pipeline reports a lost source. */
  async lookFirst(): Promise<void> {
    if (await this.#look()) await this.#measureBefore().catch(() => undefined);
  }

  /** The same while the run lasts: there is no telling then what a client would wait without it. */
  async look(): Promise<void> {
    const answers = await this.#look();
    if (answers && !this.#isMeasured) await this.#measure(0).catch(() => undefined);
  }

  close(): void {
    this.control.close();
  }

  /**
   * @returns whether the server answers, if only by a refusal. One that does not says nothing of its clients, whom a
   *   run that waits for it too keeps from nothing.
   */
  async #look(): Promise<boolean> {
    try {
      const count = await countOthersAtWork((...words) => this.#ask(...words));
      this.quiet.noteOthers(count, performance.now());
      return true;
    } catch (error) {
      if (!(error instanceof RefusedError)) return false;
      this.quiet.noteOthers(undefined, performance.now());
      return true;
    }
  }

  /** Of ours there is nothing else yet: whoever was at work just before the start may have ended with it. */
  async #measureBefore(): Promise<void> {
    const { others } = this.quiet;
    if (others === 0) {
      await this.#measure(0);
      return;
    }
    const before = (await this.#countCommands()) - this.#asked;
    await this.#measure(watchedMs);
    const commands = (await this.#countCommands()) - this.#asked - before;
    if (others !== undefined && commands <= restingCommands) {
      this.quiet.noteOthers(0, performance.now());
    } else await this.#measure(measuredMs);
  }

  async #measure(forMs: number): Promise<void> {
    this.quiet.noteBefore(await usualWait(() => this.#ask('PING'), forMs));
    this.#isMeasured = true;
  }

  async #countCommands(): Promise<number> {
    const stats = parseInfo(String(await this.#ask('INFO', 'stats')));
    return Number(stats.get('total_commands_processed'));
  }

  #ask(...words: readonly [string, ...string[]]): Promise<unknown> {
    this.#asked++;
    return this.control.call(...words);
  }
}

/* What a client of a server waits for an answer, as long as we ask for nothing else. */

const leastTries = 3;
const askEveryMs = 5;
const usualShare = 0.75;

/**
 * @param ping asks for the least that there is.
 * @param forMs how long others are watched at work, who make us wait; 0: the way is all that counts.
 * @returns in ms: what most answers came within.
 */
async function usualWait(ping: () => Promise<unknown>, forMs: number): Promise<number> {
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
