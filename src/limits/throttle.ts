/**
 * Holds a run to so many keys and so many bytes a second at most.
 *
 * A batch waits for its turn before it is moved. What its values weigh is known only afterwards, so
 * it is expected from those before it, and what it weighed more is what the next ones wait for. Time
 * that was not used is not saved up, so that there is no burst after a pause.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Gate } from '../async.js';

export interface ThrottleLimits {
  /** Keys a second; undefined: as fast as it goes. */
  readonly keysPerSecond: number | undefined;
  /** Value bytes a second. */
  readonly bytesPerSecond: number | undefined;
}

export interface Throttle {
  /** Waits until so many keys may go. */
  turn(keyCount: number): Promise<void>;
  /** What they weighed; 0 where none of them went. To be called for every turn, whatever became of it. */
  weigh(keyCount: number, valueBytes: number): void;
  readonly limits: ThrottleLimits;
  readonly isLimited: boolean;
  /** From now on; whoever waits for a turn is given another one. */
  limit(limits: ThrottleLimits): void;
  /** How many keys may go in one piece, so that a low rate does not come in gushes. */
  readonly pieceKeys: number;
  /** Nothing new is moved until `resume`; what is in flight ends. */
  pause(): void;
  resume(): void;
  readonly isPaused: boolean;
  /** While it is lifted, no rate counts; a pause does. */
  lift(isLifted: boolean): void;
  /** The run ends: what is in flight waits no longer. */
  release(): void;
}

/** A piece is what goes in so long a time. */
const pieceMs = 50;
/** As long as nobody knows what values weigh, pieces are small. */
const unknownPieceKeys = 4;
const noLimits: ThrottleLimits = { keysPerSecond: undefined, bytesPerSecond: undefined };

export function createThrottle(given: ThrottleLimits): Throttle {
  let limits = given;
  /** When the next batch may go, by performance.now(). */
  let turnMs = 0;
  /** What a key's value is expected to weigh; undefined until one has come. */
  let expectedBytes: number | undefined;
  /** One piece goes ahead of the others as long as that is so. */
  let isOneAhead = false;
  let released = false;
  let paused = false;
  let lifted = false;
  let waiting = interruptible();
  const gate = new Gate();

  const inForce = (): ThrottleLimits => (lifted ? noLimits : limits);

  async function resumed(): Promise<void> {
    while (paused) await gate.until(() => !paused);
  }

  async function turn(keyCount: number): Promise<void> {
    let isAhead = false;
    for (let isMine = false; !isMine;) {
      await resumed();
      // Nobody knows how long the next piece takes while nobody knows what the first one weighs.
      await gate.until(() => {
        const isUnknown =
          inForce().bytesPerSecond !== undefined && expectedBytes === undefined && !released;
        if (isUnknown && isOneAhead && !isAhead) return false;
        isAhead = isUnknown;
        isOneAhead ||= isUnknown;
        return true;
      });
      const nowMs = performance.now();
      const mineMs = Math.max(nowMs, turnMs);
      turnMs = mineMs + tookMs(keyCount, expectedOf(keyCount));
      isMine = released || mineMs <= nowMs || (await passes(mineMs - nowMs));
    }
    await resumed();
  }

  function expectedOf(keyCount: number): number {
    return keyCount * (expectedBytes ?? 0);
  }

  function tookMs(keyCount: number, bytes: number): number {
    const { keysPerSecond = Infinity, bytesPerSecond = Infinity } = inForce();
    return Math.max(keyCount / keysPerSecond, bytes / bytesPerSecond) * 1000;
  }

  /** @returns whether the time went by without anybody changing the limits. */
  function passes(ms: number): Promise<boolean> {
    return delay(ms, true, { signal: waiting.signal }).catch(() => false);
  }

  function interrupt(): void {
    turnMs = 0;
    waiting.abort();
    waiting = interruptible();
    gate.check();
  }

  function weigh(keyCount: number, valueBytes: number): void {
    isOneAhead = false;
    if (valueBytes > 0) expect(keyCount, valueBytes);
    gate.check();
  }

  function expect(keyCount: number, valueBytes: number): void {
    const more = valueBytes - expectedOf(keyCount);
    const mean = valueBytes / keyCount;
    // What has grown is believed at once, what has shrunk little by little.
    const isNews = expectedBytes === undefined || mean > expectedBytes;
    expectedBytes = isNews ? mean : ((expectedBytes ?? 0) * 7 + mean) / 8;
    const { bytesPerSecond } = inForce();
    if (bytesPerSecond === undefined) return;
    turnMs = Math.max(performance.now(), turnMs) + (more / bytesPerSecond) * 1000;
  }

  function resume(): void {
    paused = false;
    gate.check();
  }

  return {
    turn,
    weigh,
    get limits() {
      return limits;
    },
    get isLimited() {
      return limits.keysPerSecond !== undefined || limits.bytesPerSecond !== undefined;
    },
    limit(next) {
      limits = next;
      interrupt();
    },
    get pieceKeys() {
      const { keysPerSecond = Infinity, bytesPerSecond } = inForce();
      const byKeys = (keysPerSecond * pieceMs) / 1000;
      if (bytesPerSecond === undefined) return Math.max(1, Math.round(byKeys));
      const byBytes =
        expectedBytes === undefined
          ? unknownPieceKeys
          : (bytesPerSecond * pieceMs) / 1000 / Math.max(1, expectedBytes);
      return Math.max(1, Math.round(Math.min(byKeys, byBytes)));
    },
    pause() {
      if (paused || released) return;
      paused = true;
      // Who waits for a turn gets another one then: else all turns would come at the same time.
      interrupt();
    },
    resume,
    lift(isLifted) {
      lifted = isLifted;
      interrupt();
    },
    release() {
      released = true;
      interrupt();
      resume();
    },
    get isPaused() {
      return paused;
    },
  };
}

function interruptible(): AbortController {
  const controller = new AbortController();
  // Every batch in flight listens, and that is no leak.
  setMaxListeners(0, controller.signal);
  return controller;
}
