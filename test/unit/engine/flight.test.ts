import { describe, expect, it } from 'vitest';
import { createFlight } from '../../../src/engine/flight.js';

function work() {
  let end: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (end = resolve));
  return { done, end };
}

/** Whether it is fulfilled once everything that can go on has gone on. */
async function settled(promise: Promise<void>): Promise<boolean> {
  let is = false;
  void promise.then(() => (is = true));
  await new Promise(setImmediate);
  return is;
}

describe('what is in flight', () => {
  it('leaves no room at a node that has as much as it may, and room at the others', async () => {
    const flight = createFlight(() => 10);
    const [first, second] = [work(), work()];
    flight.start('a', 6, first.done);
    expect(await settled(flight.room('a'))).toBe(true);
    flight.start('a', 6, second.done);
    const room = flight.room('a');
    expect([await settled(room), await settled(flight.room('b'))]).toEqual([false, true]);
    first.end();
    expect(await settled(room)).toBe(true);
  });

  it('goes by the limit of the moment', async () => {
    let limit = 1;
    const flight = createFlight(() => limit);
    const [first, second] = [work(), work()];
    flight.start('a', 5, first.done);
    flight.start('b', 1, second.done);
    const room = flight.room('a');
    limit = 6;
    expect(await settled(room)).toBe(false);
    second.end();
    expect(await settled(room)).toBe(true);
  });

  it('leaves no room at any node when all together have as much as they may', async () => {
    const flight = createFlight(
      () => 10,
      () => 12,
    );
    const [first, second] = [work(), work()];
    flight.start('a', 6, first.done);
    expect(await settled(flight.room('b'))).toBe(true);
    flight.start('b', 6, second.done);
    const room = flight.room('c');
    expect(await settled(room)).toBe(false);
    second.end();
    expect(await settled(room)).toBe(true);
  });

  it('is calm while little waits for its next try', async () => {
    const flight = createFlight(() => 1);
    const [much, little] = [work(), work()];
    flight.track(little.done, 1000);
    expect(await settled(flight.calm())).toBe(true);
    flight.track(much.done, 100_000);
    const calm = flight.calm();
    expect(await settled(calm)).toBe(false);
    much.end();
    expect(await settled(calm)).toBe(true);
    little.end();
  });

  it('is idle when the last work has ended, what takes no room included', async () => {
    const flight = createFlight(() => 1);
    expect(await settled(flight.idle())).toBe(true);
    const [batch, retry] = [work(), work()];
    flight.start('a', 1, batch.done);
    flight.track(retry.done);
    const idle = flight.idle();
    batch.end();
    expect([await settled(idle), await settled(flight.room('a'))]).toEqual([false, true]);
    retry.end();
    expect(await settled(idle)).toBe(true);
  });

  it('is not idle where the end of one work was the start of the next', async () => {
    const flight = createFlight(() => 1);
    const [first, second] = [work(), work()];
    flight.track(
      first.done.then(() => {
        flight.start('a', 1, second.done);
      }),
    );
    const idle = flight.idle();
    first.end();
    expect(await settled(idle)).toBe(false);
    second.end();
    expect(await settled(idle)).toBe(true);
  });
});
