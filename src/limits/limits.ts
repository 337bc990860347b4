/**
 * How much may be under way while one source is imported. Three things decide: how far the servers are
 * (Distance), what clients of the source may have to wait (Allowance), and the rates that were asked
 * for (Throttle). Whoever has to know asks here, each time: all of it may change while the run lasts.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Gate } from '../async.js';

export interface Limits extends Pick<Throttle, 'turn' | 'weigh'> {
  /** How many keys one SCAN should bring. */
  page(): number;
  /** How many keys go together. */
  batch(): number;
  /** How many keys may be in flight to one node. */
  perNode(): number;
  /** How many to all nodes together; may be Infinity. */
  overall(): number;
  /** How many values the source may be asked for ahead. */
  asked(): number;
  /** How many keys one script deletes at most. */
  removed(): number;
  /** Whether the run is kept from being as fast as it can: then rates tell nothing. */
  readonly isHeldBack: boolean;
  /** What clients of the source may have to wait now; undefined: nobody minds. */
  readonly latencyMs: number | undefined;
}

const mostBatchKeys = 512;

/** @param allowance undefined: the source has no clients. */
export function createLimits(
  distance: Distance,
  throttle: Throttle,
  allowance?: Allowance,
): Limits {
  return {
    page: () => Math.min(distance.pageKeys(), allowance?.pageKeys ?? Infinity),
    batch: () => Math.min(mostBatchKeys, throttle.pieceKeys, allowance?.pieceKeys ?? Infinity),
    perNode: () => distance.inflightKeys(),
    overall: () => allowance?.keys ?? Infinity,
    asked: () => distance.askedKeys(),
    removed: () => Math.min(distance.removedKeys(), allowance?.removedKeys ?? Infinity),
    get isHeldBack() {
      return throttle.isLimited || allowance?.limitMs !== undefined;
    },
    get latencyMs() {
      return allowance?.limitMs;
    },
    turn: (keyCount) => throttle.turn(keyCount),
    weigh(keyCount, valueBytes) {
      throttle.weigh(keyCount, valueBytes);
    },
  };
}

/*
 * How much must be under way so that nobody waits for a round trip: next to nothing between
 * neighbours, thousands of keys across a continent. Values are bounded in bytes all the same.
 */

/** What the fastest source hands out in a millisecond. */
const keysPerMs = 300;
/** Short pages: what was just listed is still in the source's cache when its value is asked for. */
const near = { pageKeys: 250, inflightKeys: 4096, askedKeys: 2048, removedKeys: 2048 };
const far = { pageKeys: 16_000, inflightKeys: 65_536, askedKeys: 32_768, removedKeys: 16_384 };

export interface Distance {
  /** Round trips as measured; of each server the shortest one counts. */
  noteSource(roundTripMs: number): void;
  noteNode(address: string, roundTripMs: number): void;
  /** To the source; 0 while it was not measured. */
  readonly sourceMs: number;
  /** How many keys one SCAN should bring: the next is asked for only then. */
  pageKeys(): number;
  /** How many keys may be on their way to one node, from SCAN to delete. */
  inflightKeys(): number;
  /** How many values the source may be asked for ahead. */
  askedKeys(): number;
  /** How many keys one script deletes at most: the next one is sent only when it has answered. */
  removedKeys(): number;
}

export function createDistance(): Distance {
  // What is measured again while a run is busy is how busy it is, and not how far the way.
  let sourceMs: number | undefined;
  let nodeMs = 0;
  const nodes = new Map<string, number>();
  const within = (least: number, most: number, ms: number): number =>
    Math.min(most, Math.round(least + ms * keysPerMs));

  return {
    noteSource(roundTripMs) {
      sourceMs = Math.min(roundTripMs, sourceMs ?? Infinity);
    },
    noteNode(address, roundTripMs) {
      nodes.set(address, Math.min(roundTripMs, nodes.get(address) ?? Infinity));
      nodeMs = Math.max(...nodes.values());
    },
    get sourceMs() {
      return sourceMs ?? 0;
    },
    pageKeys: () => within(near.pageKeys, far.pageKeys, sourceMs ?? 0),
    // Values are read, stored and deleted: a round trip each, and one more for replicas.
    inflightKeys: () =>
      within(near.inflightKeys, far.inflightKeys, 2 * (sourceMs ?? 0) + 2 * nodeMs),
    askedKeys: () => within(near.askedKeys, far.askedKeys, sourceMs ?? 0),
    removedKeys: () => within(near.removedKeys, far.removedKeys, sourceMs ?? 0),
  };
}

/**
 * How much may be under way at a source at one time, so that its other clients need not wait for
 * longer than they may.
 *
 * A server does one thing after the other: whoever asks while it works off what we asked for in one
 * go waits until that is done. So it is the amount under way that is steered, and with it the size
 * of each piece. It doubles until the first wait that is too long, then grows by a little
 * while waits are short and shrinks to a share when one is long: what TCP does to share a line
 * (https://www.rfc-editor.org/rfc/rfc5681), with a wait in the place of a lost packet.
 */
export interface Allowance {
  /** What a client of the source may have to wait; undefined: nobody minds, or it is lifted. */
  readonly limitMs: number | undefined;
  /** @param leastKeys how many may be under way however long clients wait; 1 if not given. */
  limit(latencyMs: number | undefined, leastKeys?: number): void;
  /** While it is lifted, there is no limit. */
  lift(isLifted: boolean): void;
  /** How long the probe had to wait, at the worst, in the last moment. */
  note(longestMs: number): void;
  /** How many keys may be under way at the source; Infinity without a limit. */
  readonly keys: number;
  /** How many of them in one piece. */
  readonly pieceKeys: number;
  /** How many to list at one time; Infinity without a limit. */
  readonly pageKeys: number;
  /** How many to delete at one time; Infinity without a limit. */
  readonly removedKeys: number;
}

const firstKeys = 16;
const mostKeys = 8192;
const growthKeys = 16;
const growthShare = 1 / 8;
const shrink = 0.8;
/** Above this share of the limit the amount shrinks, below that one it grows. */
const tooLong = 0.9;
const short = 0.75;
/** Two pieces, so that the source need not wait for the next one to be thought of. More would only be smaller. */
const pieces = 2;
const largestPiece = 512;
/** Keys that are only listed cost next to nothing, and many may have to be looked through. */
const smallestPage = 100;

export function createAllowance(): Allowance {
  let limit: number | undefined;
  let keys = firstKeys;
  let least = 1;
  let isNew = true;
  let isLifted = false;
  const holds = (): boolean => limit !== undefined && !isLifted;

  return {
    get limitMs() {
      return isLifted ? undefined : limit;
    },
    limit(latencyMs, leastKeys = 1) {
      if (limit === undefined) {
        keys = firstKeys;
        isNew = true;
      }
      limit = latencyMs;
      least = leastKeys;
      keys = Math.max(least, keys);
    },
    lift(lifted) {
      isLifted = lifted;
    },
    note(longestMs) {
      if (limit === undefined || isLifted) return;
      if (longestMs > limit * tooLong) {
        keys = Math.max(least, Math.floor(keys * shrink));
        isNew = false;
      } else if (longestMs < limit * short) {
        const grown = Math.max(keys + growthKeys, Math.round(keys * (1 + growthShare)));
        keys = Math.min(mostKeys, isNew ? keys * 2 : grown);
      }
    },
    get keys() {
      return holds() ? keys : Infinity;
    },
    get pieceKeys() {
      return holds() ? Math.min(largestPiece, Math.ceil(keys / pieces)) : largestPiece;
    },
    get removedKeys() {
      return holds() ? Math.min(largestPiece, keys) : Infinity;
    },
    get pageKeys() {
      return holds() ? Math.max(smallestPage, keys) : Infinity;
    },
  };
}

/*
 * Holds a run to so many keys and so many bytes a second at most.
 *
 * A batch waits for its turn before it is moved. What its values weigh is known only afterwards, so
 * it is expected from those before it, and what it weighed more is what the next ones wait for. Time
 * that was not used is not saved up, so that there is no burst after a pause.
 */

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
