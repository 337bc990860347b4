/**
 * How fast the run goes and how long it will take, from snapshots of the tally.
 *
 * The rate is an exponential average over about ten seconds. The time left comes from the share
 * of the source that is done and the rate at which that share grows, and is unknown until both
 * mean something: a wrong promise is worse than none.
 */
import type { TallySnapshot } from '../types.js';

const smoothedOverMs = 10_000;
const knownAfterMs = 2000;
const knownAfterShare = 0.005;
/** So much less than on average, and the run stands still: it has no end in sight. */
const stalledBelow = 0.01;
const longestMs = 99 * 3_600_000;

export interface Speed {
  readonly keysPerSecond: number;
  readonly bytesPerSecond: number;
  /** Undefined until it is known. */
  readonly leftMs: number | undefined;
}

interface Reading {
  readonly atMs: number;
  readonly keys: number;
  readonly bytes: number;
  readonly share: number;
}

export interface Speedometer {
  /** @param isPaused a pause is no time: nothing goes on, and the rate before it is kept. */
  read(snapshot: TallySnapshot, nowMs: number, isPaused?: boolean): Speed;
}

const standing: Speed = { keysPerSecond: 0, bytesPerSecond: 0, leftMs: undefined };

export function speedometer(): Speedometer {
  let last: Reading | undefined;
  const keys = average();
  const bytes = average();
  const share = average();

  return {
    read(snapshot, nowMs, isPaused = false) {
      const { moved, startedAtMs, progress, earlierShare } = snapshot;
      const now = { atMs: nowMs, keys: moved, bytes: snapshot.bytes, share: Math.min(1, progress) };
      if (isPaused) {
        last = now;
        return standing;
      }
      const before = last ?? { atMs: startedAtMs, keys: 0, bytes: 0, share: earlierShare };
      const elapsedMs = now.atMs - before.atMs;
      if (elapsedMs > 0) {
        keys.add((now.keys - before.keys) / elapsedMs, elapsedMs);
        bytes.add((now.bytes - before.bytes) / elapsedMs, elapsedMs);
        share.add((now.share - before.share) / elapsedMs, elapsedMs);
        last = now;
      }
      // What an earlier run had done took none of this one's time.
      const ownShare = now.share - earlierShare;
      const averageRate = ownShare / (nowMs - startedAtMs);
      const isKnown =
        nowMs - startedAtMs >= knownAfterMs &&
        ownShare >= knownAfterShare &&
        share.value() > averageRate * stalledBelow;
      const leftMs = isKnown ? (1 - now.share) / share.value() : Infinity;
      return {
        keysPerSecond: keys.value() * 1000,
        bytesPerSecond: bytes.value() * 1000,
        leftMs: leftMs < longestMs ? leftMs : undefined,
      };
    },
  };
}

export interface Average {
  add(value: number, lastedMs: number): void;
  value(): number;
}

/** An average in which what is older than `smoothedOverMs` fades; even while it is young. */
export function average(): Average {
  let sum = 0;
  let weight = 0;
  return {
    add(value: number, lastedMs: number) {
      const kept = Math.exp(-lastedMs / smoothedOverMs);
      sum = sum * kept + value * (1 - kept);
      weight = weight * kept + (1 - kept);
    },
    value: () => (weight === 0 ? 0 : Math.max(0, sum / weight)),
  };
}
