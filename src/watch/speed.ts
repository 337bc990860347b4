/**
 * How fast the run goes now, how fast on the whole, and how long it will take, from snapshots of the tally.
 *
 * The rate is that of the last second or two, because people compare it with the limit that they have just
 * set. The time left comes from a longer window, because a promise that jumps is of no use. Both begin anew
 * wherever the run changes its pace for a reason: another limit, the end of a pause, the end of a stall. As
 * long as a limit holds, no promise is faster than the limit. What is not known is undefined: a wrong promise
 * is worse than none.
 */
import type { ServerHealth, TallySnapshot } from '../types.js';

/** The rate is that of so long a time; of a slow run that of a longer one. */
const rateOverMs = 1500;
const slowRateOverMs = 10_000;
/** So few keys in the short time, and less than ten times as many in the long one, and the run is slow. */
const fewKeys = 10;
/** The time left is told from so long a time. */
const lengthOverMs = 10_000;
const readingEveryMs = 100;
const knownAfterMs = 2000;
/** After a change of pace the time left is told again from what was seen in so long a time. */
const knownAgainAfterMs = 1000;
/** And the rate: until then it is what it was, or what the limit allows. */
const rateAgainAfterMs = 400;
const knownAfterShare = 0.005;
const stalledAfterMs = 3000;
/** Where a server is away, what has not come by then waits for it. */
const stalledByLossAfterMs = 1000;
/** A run with a key less often than that does not stall while it waits for the next one. */
const usualGapMs = 1000;
const longestMs = 99 * 3_600_000;

export interface Speed {
  /** Over the last second or two. */
  readonly keysPerSecond: number;
  readonly bytesPerSecond: number;
  /** From the start on, pauses left out. */
  readonly averageKeysPerSecond: number;
  /** Undefined until it is known. */
  readonly leftMs: number | undefined;
  /** For how long nothing has come to its end, if that is unusual; 0: something has. */
  readonly stalledMs: number;
  /** How long it was paused so far. */
  readonly pausedMs: number;
}

/** What sets the pace of a run from outside; undefined is no limit. */
export interface Pace {
  readonly isPaused: boolean;
  readonly keysPerSecond: number | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly sourceLatencyMs: number | undefined;
}

export interface Speedometer {
  /** @param pace a pause is no time: nothing goes on, and the rates before it say nothing of those after it. */
  read(snapshot: TallySnapshot, nowMs: number, pace?: Pace): Speed;
  /**
   * The keys a second of one of the servers that the keys of the latest reading went through, over the same time as
   * those of all of them: what begins anew, does so for both.
   */
  ofPart(name: string, keyCount: number): number;
}

const unhindered: Pace = {
  isPaused: false,
  keysPerSecond: undefined,
  bytesPerSecond: undefined,
  sourceLatencyMs: undefined,
};

export function speedometer(): Speedometer {
  const keys = createWindow();
  const bytes = createWindow();
  const shares = createWindow();
  let pacedBy = unhindered;
  let pausedMs = 0;
  let lastReadMs: number | undefined;
  let stallsAfterMs = stalledAfterMs;
  /** When something last came to its end, and what had by then. */
  let lastMove = { atMs: 0, done: -1, bytes: -1 };
  let beganMs = 0;
  let known = { keysPerSecond: 0, bytesPerSecond: 0 };
  /** How the latest reading was done. */
  let isSeen = true;
  let overMs = rateOverMs;
  /** So much of what was known last is told as long as nothing is seen. */
  let toldShare = 1;
  const parts = new Map<
    string,
    { readonly keys: Window; beganMs: number; keysPerSecond: number }
  >();

  function beginAnew(atMs: number): void {
    for (const window of [keys, bytes, shares]) window.beginAnew();
    beganMs = atMs;
  }

  function partOf(name: string) {
    let part = parts.get(name);
    if (!part) {
      parts.set(name, (part = { keys: createWindow(), beganMs, keysPerSecond: 0 }));
      part.keys.note(beganMs, 0);
    }
    return part;
  }

  return {
    read(snapshot, nowMs, pace = unhindered) {
      const { moved, startedAtMs, progress, earlierShare } = snapshot;
      const share = Math.min(1, progress);
      const isFirst = lastReadMs === undefined;
      if (isFirst) {
        keys.note(startedAtMs, 0);
        bytes.note(startedAtMs, 0);
        shares.note(startedAtMs, earlierShare);
        lastMove = { atMs: startedAtMs, done: 0, bytes: 0 };
        beganMs = startedAtMs;
        pacedBy = pace;
      }
      const sinceLastMs = Math.max(0, nowMs - (lastReadMs ?? startedAtMs));
      lastReadMs = nowMs;
      const wasPaused = pacedBy.isPaused;
      if (wasPaused || pace.isPaused) pausedMs += sinceLastMs;
      const hasOtherRate = !isSameRate(pacedBy, pace);
      // Such a limit may come because the source is slow, and must not hide that the run stands still.
      const isPacedAnew = hasOtherRate || pacedBy.sourceLatencyMs !== pace.sourceLatencyMs;
      pacedBy = pace;

      const done = moved + snapshot.gone + snapshot.conflicting + snapshot.failed;
      const ownShare = share - earlierShare;
      const ownMs = Math.max(1, nowMs - startedAtMs - pausedMs);
      const hasMoved = done !== lastMove.done || snapshot.bytes !== lastMove.bytes;
      // Where keys come seldom, such a gap is nothing unusual.
      const isUsual = done > 0 && ownMs / done > usualGapMs;
      const stoodMs = isUsual ? 0 : nowMs - lastMove.atMs;
      const isAnyLost = [...snapshot.nodes, ...snapshot.sources].some(isLost);
      const stallEnds = hasMoved && stoodMs >= stallsAfterMs;
      stallsAfterMs = isAnyLost ? stalledByLossAfterMs : stalledAfterMs;
      if (hasMoved || pace.isPaused || hasOtherRate) {
        lastMove = { atMs: nowMs, done, bytes: snapshot.bytes };
      }
      keys.note(nowMs, moved);
      bytes.note(nowMs, snapshot.bytes);
      shares.note(nowMs, share);
      // What came until now was none of the new pace.
      const isAnew = isPacedAnew || pace.isPaused || stallEnds;
      if (isAnew && !isFirst) beginAnew(nowMs);

      const averageKeysPerSecond = (moved * 1000) / ownMs;
      if (pace.isPaused) {
        known = { keysPerSecond: 0, bytesPerSecond: 0 };
        for (const part of parts.values()) part.keysPerSecond = 0;
        isSeen = false;
        const none = { keysPerSecond: 0, bytesPerSecond: 0, leftMs: undefined, stalledMs: 0 };
        return { ...none, averageKeysPerSecond, pausedMs };
      }
      const isSlow = keys.grown(rateOverMs) < fewKeys && keys.grown(slowRateOverMs) < fewKeys * 10;
      overMs = isSlow ? slowRateOverMs : rateOverMs;
      const stalledMs = nowMs - lastMove.atMs >= stallsAfterMs ? stoodMs : 0;
      isSeen = nowMs - beganMs >= rateAgainAfterMs;
      if (isSeen) {
        known = {
          keysPerSecond: keys.rate(overMs) * 1000,
          bytesPerSecond: bytes.rate(overMs) * 1000,
        };
      }
      const most = isSeen ? Infinity : mostOf(pace.keysPerSecond);
      const keysPerSecond = Math.min(known.keysPerSecond, most);
      toldShare = known.keysPerSecond > 0 ? keysPerSecond / known.keysPerSecond : 1;
      return {
        keysPerSecond,
        bytesPerSecond: Math.min(
          known.bytesPerSecond,
          isSeen ? Infinity : mostOf(pace.bytesPerSecond),
        ),
        averageKeysPerSecond,
        // What is open waits then for servers of which nobody knows whether they come back.
        leftMs: stalledMs > 0 || (isAnyLost && keysPerSecond === 0) ? undefined : leftMs(),
        stalledMs,
        pausedMs,
      };

      function leftMs(): number | undefined {
        if (ownMs < knownAfterMs || ownShare < knownAfterShare) return undefined;
        const most = mostShare(pace, ownShare, done, snapshot.bytes);
        const isKnown = nowMs - beganMs >= knownAgainAfterMs;
        // Right behind a change of the limit what is still under way says nothing: the limit does.
        const seen = isKnown ? shares.rate(lengthOverMs) : most;
        const perMs = Math.min(seen, most);
        const left = perMs > 0 && perMs < Infinity ? (1 - share) / perMs : Infinity;
        return left < longestMs ? left : undefined;
      }
    },
    ofPart(name, keyCount) {
      const part = partOf(name);
      part.keys.note(lastReadMs ?? beganMs, keyCount);
      if (part.beganMs !== beganMs) part.keys.beginAnew();
      part.beganMs = beganMs;
      if (isSeen) part.keysPerSecond = part.keys.rate(overMs) * 1000;
      return isSeen ? part.keysPerSecond : part.keysPerSecond * toldShare;
    },
  };
}

function mostOf(limit: number | undefined): number {
  return limit ?? Infinity;
}

/** How much of the whole the limits allow in a millisecond at most. */
function mostShare(pace: Pace, ownShare: number, done: number, valueBytes: number): number {
  const of = (limit: number | undefined, count: number): number =>
    limit === undefined || count === 0 ? Infinity : (limit / count) * (ownShare / 1000);
  return Math.min(of(pace.keysPerSecond, done), of(pace.bytesPerSecond, valueBytes));
}

function isSameRate(one: Pace, other: Pace): boolean {
  return (
    one.isPaused === other.isPaused &&
    one.keysPerSecond === other.keysPerSecond &&
    one.bytesPerSecond === other.bytesPerSecond
  );
}

function isLost({ health }: { readonly health: ServerHealth }): boolean {
  return health.state === 'away' || health.state === 'given-up';
}

/** A count that grows, as it stood lately. */
interface Window {
  note(atMs: number, count: number): void;
  /** How much it has grown in so many milliseconds until the latest reading. */
  grown(overMs: number): number;
  /** By how much in one of them. */
  rate(overMs: number): number;
  /** What was read before the latest reading counts no more. */
  beginAnew(): void;
}

interface Reading {
  readonly atMs: number;
  readonly count: number;
}

export function createWindow(): Window {
  let readings: Reading[] = [];
  let latest: Reading | undefined;

  function before(overMs: number): Reading | undefined {
    if (!latest) return undefined;
    const fromMs = latest.atMs - overMs;
    return readings.findLast(({ atMs }) => atMs <= fromMs) ?? readings[0];
  }

  function grown(overMs: number): number {
    const base = before(overMs);
    return base && latest ? Math.max(0, latest.count - base.count) : 0;
  }

  return {
    note(atMs, count) {
      latest = { atMs, count };
      const last = readings.at(-1);
      if (last && atMs - last.atMs < readingEveryMs) return;
      readings.push(latest);
      const oldest = readings.findLastIndex((reading) => reading.atMs <= atMs - lengthOverMs);
      if (oldest > 0) readings = readings.slice(oldest);
    },
    grown,
    rate(overMs) {
      const base = before(overMs);
      if (!base || !latest || latest.atMs <= base.atMs) return 0;
      return grown(overMs) / (latest.atMs - base.atMs);
    },
    beginAnew() {
      readings = latest ? [latest] : [];
    },
  };
}
