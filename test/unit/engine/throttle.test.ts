import { expect, it } from 'vitest';
import { createThrottle } from '../../../src/engine/throttle.js';
import type { Batch, Mover, Outcome } from '../../../src/types.js';

const outcome: Outcome = {
  moved: 10,
  gone: 0,
  repeated: 0,
  conflicting: 0,
  failed: 0,
  bytes: 1000,
  retries: [],
  failures: [],
};

/** A mover that notes when it was given a batch, and has moved it at once. */
function noting(): { mover: Mover; movedAtMs: number[] } {
  const movedAtMs: number[] = [];
  const mover: Mover = {
    name: 'relay',
    move() {
      movedAtMs.push(performance.now());
      return Promise.resolve(outcome);
    },
    close: () => undefined,
  };
  return { mover, movedAtMs };
}

const keys = { bytes: Buffer.alloc(0), starts: new Uint32Array(11), count: 10 };
const batch: Batch = {
  node: { address: 'n:1', host: 'n', port: 1 },
  keys,
  relisted: false,
  ours: false,
  attempt: 0,
  asking: false,
};

it('moves no more keys a second than it may', async () => {
  const { mover, movedAtMs } = noting();
  const slowed = createThrottle({ keysPerSecond: 1000, bytesPerSecond: undefined }).slow(mover);
  await Promise.all(Array.from({ length: 6 }, () => slowed.move(batch)));
  // The first goes at once, and each of the others 10 ms after the one before.
  expect((movedAtMs.at(-1) ?? 0) - (movedAtMs[0] ?? 0)).toBeGreaterThanOrEqual(48);
});

it('makes the next batches wait for what those before them weighed', async () => {
  const { mover, movedAtMs } = noting();
  const slowed = createThrottle({ keysPerSecond: undefined, bytesPerSecond: 20_000 }).slow(mover);
  await slowed.move(batch);
  await slowed.move(batch);
  expect((movedAtMs[1] ?? 0) - (movedAtMs[0] ?? 0)).toBeGreaterThanOrEqual(48);
});

it('moves nothing while it is paused, and goes on then', async () => {
  const { mover, movedAtMs } = noting();
  const throttle = createThrottle({ keysPerSecond: undefined, bytesPerSecond: undefined });
  throttle.pause();
  const moving = throttle.slow(mover).move(batch);
  await new Promise((resolve) => setImmediate(resolve));
  expect(movedAtMs).toEqual([]);
  throttle.resume();
  expect(await moving).toBe(outcome);
});

it('lets everything go once the run ends, whatever the limit', async () => {
  const { mover } = noting();
  const throttle = createThrottle({ keysPerSecond: 1, bytesPerSecond: undefined });
  const slowed = throttle.slow(mover);
  const moving = Promise.all([slowed.move(batch), slowed.move(batch)]);
  throttle.pause();
  throttle.release();
  expect(await moving).toHaveLength(2);
});

it('keeps the name of a mover that changes', () => {
  let name: Mover['name'] = 'relay';
  const changing = Object.defineProperty({ ...noting().mover }, 'name', { get: () => name });
  const slowed = createThrottle({ keysPerSecond: 1, bytesPerSecond: undefined }).slow(changing);
  name = 'migrate';
  expect(slowed.name).toBe('migrate');
});

it('gives those who wait another turn when the limit is lifted', async () => {
  const { mover, movedAtMs } = noting();
  const throttle = createThrottle({ keysPerSecond: 0.001, bytesPerSecond: undefined });
  const slowed = throttle.slow(mover);
  const moving = Promise.all([slowed.move(batch), slowed.move(batch), slowed.move(batch)]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(movedAtMs).toHaveLength(1);
  throttle.limit({ keysPerSecond: undefined, bytesPerSecond: undefined });
  expect(await moving).toHaveLength(3);
});

it('cuts pieces to a moment of the rate', () => {
  const pieceKeys = (keysPerSecond: number | undefined): number =>
    createThrottle({ keysPerSecond, bytesPerSecond: undefined }).pieceKeys;
  expect([1, 100, 20_000, undefined].map(pieceKeys)).toEqual([1, 5, 1000, Infinity]);
});

it('can no longer be paused once the run ends', () => {
  const throttle = createThrottle({ keysPerSecond: undefined, bytesPerSecond: undefined });
  throttle.release();
  throttle.pause();
  expect(throttle.isPaused).toBe(false);
});
