import { expect, it } from 'vitest';
import { createBarrier } from '../../../src/engine/barrier.js';

/** A life that ends when it is told to. */
function life(): { promise: Promise<void>; end: () => void; fail: () => void } {
  let end = (): void => undefined;
  let fail = (): void => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = () => {
      reject(new Error('it went wrong'));
    };
  });
  return { promise, end, fail };
}

/** Whether it settles before everything that is due now has been done. */
async function isSettled(wait: Promise<void>): Promise<boolean> {
  let settled = false;
  void wait.then(() => (settled = true));
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

it('waits for what is under way, however it ends, and for nothing that begins later', async () => {
  const barrier = createBarrier();
  const [one, other, later] = [life(), life(), life()];
  barrier.track(one.promise);
  barrier.track(other.promise);
  const wait = barrier.settled();
  barrier.track(later.promise);
  one.end();
  expect(await isSettled(wait)).toBe(false);
  other.fail();
  expect(await isSettled(wait)).toBe(true);
  expect(await isSettled(barrier.settled())).toBe(false);
  later.end();
  expect(await isSettled(barrier.settled())).toBe(true);
});

it('waits for nothing where nothing is under way', async () => {
  expect(await isSettled(createBarrier().settled())).toBe(true);
});
