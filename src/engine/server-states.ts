/**
 * How each server does while a run lasts, for those who look on: one line when it goes and one when it is
 * back, whoever notices it and however often.
 *
 * A server that comes and goes, or that several sources of a run lose at one time, must not fill the log. So
 * a return is only told once it has lasted, and one that does not last is no return. After each such line
 * the next return has to last twice as long.
 *
 * What only takes long is seen from outside: an answer is owed, and no byte has come since the last look.
 */
import type { Logger, ServerHealth } from '../types.js';

/** What is looked at of a connection. */
interface Watched {
  readonly address: string;
  /** An answer is owed, and we are ready to read it. */
  readonly isOwed: boolean;
  /** How many pieces of answers have come so far. */
  readonly heardCount: number;
  onLost(callback: () => void): void;
}

export interface Gone {
  /** One clause: `connection refused`. */
  readonly why: string;
  /** The line that is logged, unless it has been; undefined: another line says it for this server too. */
  readonly sentence: string | undefined;
  /** It answers, and refuses: its own words are told also where it was said to be lost. */
  readonly isRefusal?: boolean;
  /** Fields of the line. */
  readonly fields?: object;
}

export interface ServerStates {
  /** It was lost, or refuses what it is asked for. */
  went(address: string, gone: Gone): void;
  /** It did what it was asked for. */
  isBack(address: string): void;
  /** It will not be tried any more. */
  gaveUp(address: string, gone: Gone): void;
  /** Sees from now on whether the server answers over this connection. */
  watch(connection: Watched, address?: string): void;
  of(address: string): ServerHealth;
  /** For how long a server owes an answer. */
  silentMs(address: string): number;
  /** To be called about once a second: tells of lasting returns, and looks who is silent. */
  look(): void;
}

const slowAfterMs = 1000;
const lastsAfterMs = 1000;
const lastsAtMostMs = 64_000;
const ok: ServerHealth = { state: 'ok', sinceMs: null, why: null };

interface State {
  health: ServerHealth;
  /** When it came back; undefined: it is away, or its return has been told. */
  backAtMs: number | undefined;
  /** What it was before it came back: it is that still, if the return does not last. */
  before: ServerHealth;
  lastsAfterMs: number;
  /** What was told of it; its return is told only where something was. */
  told: 'loss' | 'refusal' | undefined;
}

interface Silence {
  readonly address: string;
  readonly connection: Watched;
  heardCount: number;
  sinceMs: number;
}

/** @param tell takes the line about a return: people want it as much as the line about the loss. */
export function createServerStates(
  logger: Pick<Logger, 'warn' | 'error'>,
  tell: (sentence: string, fields: object) => void,
  now: () => number = Date.now,
): ServerStates {
  const states = new Map<string, State>();
  const silences = new Set<Silence>();

  function stateOf(address: string): State {
    let state = states.get(address);
    if (!state) {
      state = { health: ok, backAtMs: undefined, before: ok, lastsAfterMs, told: undefined };
      states.set(address, state);
    }
    return state;
  }

  function silentMs(address: string): number {
    const nowMs = now();
    let longestMs = 0;
    for (const silence of silences) {
      const { sinceMs } = silence;
      if (silence.address === address) longestMs = Math.max(longestMs, nowMs - sinceMs);
    }
    return longestMs;
  }

  function listen(): void {
    const nowMs = now();
    for (const silence of silences) {
      const { isOwed, heardCount } = silence.connection;
      if (isOwed && heardCount === silence.heardCount) continue;
      silence.heardCount = heardCount;
      silence.sinceMs = nowMs;
    }
  }

  return {
    went(address, { why, sentence, isRefusal = false, fields = {} }) {
      const state = stateOf(address);
      if (state.health.state === 'given-up') return;
      if (state.health.state === 'away') state.health = { ...state.health, why };
      else if (state.backAtMs !== undefined) {
        // It was no return.
        state.backAtMs = undefined;
        state.health = { ...state.before, why };
      } else {
        state.health = { state: 'away', sinceMs: now(), why };
        state.told = undefined;
      }
      const isNews = state.told === undefined || (isRefusal && state.told === 'loss');
      if (!isNews || sentence === undefined) return;
      state.told = isRefusal ? 'refusal' : 'loss';
      logger.warn({ server: address, reason: why, ...fields }, sentence);
    },
    isBack(address) {
      const state = states.get(address);
      if (state?.health.state !== 'away') return;
      state.before = state.health;
      state.health = ok;
      state.backAtMs = now();
    },
    gaveUp(address, { why, sentence, fields = {} }) {
      const state = stateOf(address);
      if (state.health.state === 'given-up') return;
      const { sinceMs } = state.backAtMs === undefined ? state.health : state.before;
      state.backAtMs = undefined;
      state.health = { state: 'given-up', sinceMs: sinceMs ?? now(), why };
      if (sentence !== undefined) {
        logger.error({ server: address, reason: why, ...fields }, sentence);
      }
    },
    watch(connection, address = connection.address) {
      const silence = { address, connection, heardCount: connection.heardCount, sinceMs: now() };
      silences.add(silence);
      connection.onLost(() => silences.delete(silence));
    },
    of(address) {
      const health = states.get(address)?.health ?? ok;
      if (health.state !== 'ok') return health;
      const ms = silentMs(address);
      if (ms < slowAfterMs) return ok;
      return { state: 'slow', sinceMs: now() - ms, why: 'it has not answered since' };
    },
    silentMs,
    look() {
      listen();
      const nowMs = now();
      for (const [address, state] of states) {
        if (state.backAtMs === undefined || nowMs - state.backAtMs < state.lastsAfterMs) continue;
        const awayMs = state.backAtMs - (state.before.sinceMs ?? state.backAtMs);
        state.backAtMs = undefined;
        state.lastsAfterMs = Math.min(lastsAtMostMs, state.lastsAfterMs * 2);
        if (state.told !== undefined)
          tell(`${address} is back after ${(awayMs / 1000).toFixed(1)} s.`, { server: address });
      }
    },
  };
}
