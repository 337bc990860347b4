import { expect, it } from 'vitest';
import { createThrottle, type ThrottleLimits } from '../../../src/limits/limits.js';

const unlimited = { keysPerSecond: undefined, bytesPerSecond: undefined };
const throttleOf = (limits: Partial<ThrottleLimits>) => createThrottle({ ...unlimited, ...limits });

/** Asks for turns at the same time, and tells when each came, in ms from now. */
function turns(throttle: ReturnType<typeof throttleOf>, counts: readonly number[]) {
  const startMs = performance.now();
  const cameAtMs: number[] = [];
  const all = Promise.all(
    counts.map(async (count) => {
      await throttle.turn(count);
      cameAtMs.push(performance.now() - startMs);
    }),
  );
  return { cameAtMs, all };
}
const moment = () => new Promise((resolve) => setImmediate(resolve));

it('lets no more keys a second go than it may', async () => {
  const { cameAtMs, all } = turns(throttleOf({ keysPerSecond: 1000 }), Array<number>(6).fill(10));
  await all;
  // The first goes at once, and each of the others 10 ms after the one before.
  expect(cameAtMs.at(-1)).toBeGreaterThanOrEqual(48);
});

it('makes those behind wait for what a batch weighed', async () => {
  const throttle = throttleOf({ bytesPerSecond: 20_000 });
  await throttle.turn(10);
  throttle.weigh(10, 1000);
  const { cameAtMs, all } = turns(throttle, [10]);
  await all;
  expect(cameAtMs[0]).toBeGreaterThanOrEqual(48);
});

it('makes those beside it wait for what it will weigh, by what came before', async () => {
  const throttle = throttleOf({ bytesPerSecond: 20_000 });
  await throttle.turn(1);
  throttle.weigh(1, 100);
  const { cameAtMs, all } = turns(throttle, [10, 10, 10]);
  await all;
  // Each is taken for 1000 bytes, though none has ended yet.
  expect(cameAtMs.at(-1)).toBeGreaterThanOrEqual(98);
});

it('lets one piece go ahead until it is known what values weigh', async () => {
  const throttle = throttleOf({ bytesPerSecond: 1_000_000 });
  const { cameAtMs, all } = turns(throttle, [4, 4, 4]);
  await moment();
  expect(cameAtMs).toHaveLength(1);
  throttle.weigh(4, 4);
  await all;
  expect(cameAtMs).toHaveLength(3);
});

it('lets nothing go while it is paused, and then all in turn', async () => {
  const throttle = throttleOf({ keysPerSecond: 1000 });
  await throttle.turn(10);
  const { cameAtMs, all } = turns(throttle, [10, 10]);
  // They wait for their turns by now, and no timer has gone off.
  for (let step = 0; step < 20; step++) await Promise.resolve();
  throttle.pause();
  // All of their turns would have come by now.
  await turns(throttleOf({ keysPerSecond: 1000 }), [10, 10, 10, 10, 10]).all;
  expect(cameAtMs).toHaveLength(0);
  const resumedMs = performance.now();
  throttle.resume();
  await all;
  expect(performance.now() - resumedMs).toBeGreaterThanOrEqual(8);
});

it('lets everything go once the run ends, whatever the limit', async () => {
  const throttle = throttleOf({ keysPerSecond: 1 });
  const { cameAtMs, all } = turns(throttle, [10, 10]);
  throttle.pause();
  throttle.release();
  await all;
  expect(cameAtMs).toHaveLength(2);
});

it('gives those who wait another turn when the limit is lifted', async () => {
  const throttle = throttleOf({ keysPerSecond: 0.001 });
  const { cameAtMs, all } = turns(throttle, [1, 1, 1]);
  await moment();
  expect(cameAtMs).toHaveLength(1);
  throttle.limit(unlimited);
  await all;
  expect(cameAtMs).toHaveLength(3);
});

it('cuts pieces to a moment of the rate', () => {
  const pieceKeys = (keysPerSecond: number | undefined): number =>
    throttleOf({ keysPerSecond }).pieceKeys;
  expect([1, 100, 20_000, undefined].map(pieceKeys)).toEqual([1, 5, 1000, Infinity]);
  const throttle = throttleOf({ bytesPerSecond: 1_000_000 });
  expect(throttle.pieceKeys).toBeLessThan(10);
  throttle.weigh(10, 10_000);
  expect(throttle.pieceKeys).toBe(50);
});

it('can no longer be paused once the run ends', () => {
  const throttle = throttleOf({});
  throttle.release();
  throttle.pause();
  expect(throttle.isPaused).toBe(false);
});

it('lets the piece that goes ahead have another turn, when limits change while it waits', async () => {
  const throttle = throttleOf({ keysPerSecond: 1, bytesPerSecond: 1_000_000 });
  await throttle.turn(1000);
  // None of those keys was there: what values weigh is still unknown.
  throttle.weigh(1000, 0);
  const { cameAtMs, all } = turns(throttle, [1, 1]);
  await moment();
  expect(cameAtMs).toHaveLength(0);
  throttle.limit({ keysPerSecond: undefined, bytesPerSecond: 1_000_000 });
  await moment();
  expect(cameAtMs).toHaveLength(1);
  throttle.weigh(1, 4);
  await all;
});

it('lets all go as fast as they come while it is lifted, but not through a pause', async () => {
  const throttle = throttleOf({ keysPerSecond: 0.001 });
  await throttle.turn(10);
  const waiting = turns(throttle, [10, 10]);
  await moment();
  expect(waiting.cameAtMs).toHaveLength(0);
  throttle.pause();
  throttle.lift(true);
  await moment();
  expect(waiting.cameAtMs).toHaveLength(0);
  throttle.resume();
  await waiting.all;
  expect(throttle.pieceKeys).toBe(throttleOf({}).pieceKeys);
  throttle.lift(false);
  await throttle.turn(1);
  const { cameAtMs } = turns(throttle, [1]);
  await moment();
  expect(cameAtMs).toHaveLength(0);
  throttle.release();
});
