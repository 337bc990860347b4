import { describe, expect, it } from 'vitest';
import { createHeldBack, createInFlight } from '../../../src/engine/in-flight.js';
import { keysOf } from '../../support/keys.js';
import { batchOf, namesOf } from '../../support/batches.js';

const limitsOf = (perNode: () => number, overall = () => Infinity) => ({ perNode, overall });

/** Something that ends when it is told to. */
function work() {
  let end = (): void => undefined;
  let fail = (): void => undefined;
  const done = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = () => {
      reject(new Error('it went wrong'));
    };
  });
  return { done, end, fail };
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
    const inFlight = createInFlight(limitsOf(() => 10));
    const [first, second] = [work(), work()];
    inFlight.add('a', 6, first.done);
    expect(await settled(inFlight.room('a'))).toBe(true);
    inFlight.add('a', 6, second.done);
    const room = inFlight.room('a');
    expect([await settled(room), await settled(inFlight.room('b'))]).toEqual([false, true]);
    first.end();
    expect(await settled(room)).toBe(true);
  });

  it('goes by the limit of the moment', async () => {
    let limit = 1;
    const inFlight = createInFlight(limitsOf(() => limit));
    const [first, second] = [work(), work()];
    inFlight.add('a', 5, first.done);
    inFlight.add('b', 1, second.done);
    const room = inFlight.room('a');
    limit = 6;
    expect(await settled(room)).toBe(false);
    second.end();
    expect(await settled(room)).toBe(true);
  });

  it('leaves no room at any node when all together have as much as they may', async () => {
    const inFlight = createInFlight(
      limitsOf(
        () => 10,
        () => 12,
      ),
    );
    const [first, second] = [work(), work()];
    inFlight.add('a', 6, first.done);
    expect(await settled(inFlight.room('b'))).toBe(true);
    inFlight.add('b', 6, second.done);
    const room = inFlight.room('c');
    expect(await settled(room)).toBe(false);
    second.end();
    expect(await settled(room)).toBe(true);
  });

  it('is calm while little waits for its next try', async () => {
    const inFlight = createInFlight(limitsOf(() => 1));
    const [much, little] = [work(), work()];
    inFlight.keep(1000, little.done);
    expect(await settled(inFlight.calm())).toBe(true);
    inFlight.keep(100_000, much.done);
    const calm = inFlight.calm();
    expect(await settled(calm)).toBe(false);
    much.end();
    expect(await settled(calm)).toBe(true);
    little.end();
  });

  it('is idle when the last work has ended, what takes no room included', async () => {
    const inFlight = createInFlight(limitsOf(() => 1));
    expect(await settled(inFlight.idle())).toBe(true);
    const [batch, retry] = [work(), work()];
    inFlight.add('a', 1, batch.done);
    inFlight.add('a', 0, retry.done);
    const idle = inFlight.idle();
    batch.end();
    expect([await settled(idle), await settled(inFlight.room('a'))]).toEqual([false, true]);
    retry.end();
    expect(await settled(idle)).toBe(true);
  });

  it('is not idle where the end of one work was the start of the next', async () => {
    const inFlight = createInFlight(limitsOf(() => 1));
    const [first, second] = [work(), work()];
    inFlight.add(
      'a',
      0,
      first.done.then(() => {
        inFlight.add('a', 1, second.done);
      }),
    );
    const idle = inFlight.idle();
    first.end();
    expect(await settled(idle)).toBe(false);
    second.end();
    expect(await settled(idle)).toBe(true);
  });

  it('waits for what is under way, however it ends, and for nothing that begins later', async () => {
    const inFlight = createInFlight(limitsOf(() => 1));
    const [one, other, later] = [work(), work(), work()];
    inFlight.add('a', 0, one.done);
    inFlight.add('a', 0, other.done);
    const wait = inFlight.settled();
    inFlight.add('a', 0, later.done);
    one.end();
    expect(await settled(wait)).toBe(false);
    other.fail();
    expect(await settled(wait)).toBe(true);
    expect(await settled(inFlight.settled())).toBe(false);
    later.end();
    expect(await settled(inFlight.settled())).toBe(true);
  });

  it('gives the room back when a try ends, and waits for the tries behind it', async () => {
    const inFlight = createInFlight(limitsOf(() => 1));
    const [first, all] = [work(), work()];
    inFlight.add('a', 1, first.done, all.done);
    const waits = [inFlight.settled(), inFlight.idle()];
    const room = inFlight.room('a');
    expect(await settled(room)).toBe(false);
    first.end();
    expect(await settled(room)).toBe(true);
    expect(await Promise.all(waits.map(settled))).toEqual([false, false]);
    all.end();
    expect(await Promise.all(waits.map(settled))).toEqual([true, true]);
  });

  it('waits for nothing where nothing is under way', async () => {
    expect(await settled(createInFlight(limitsOf(() => 1)).settled())).toBe(true);
  });
});

function begin(): { held: ReturnType<typeof createHeldBack>; log: string[] } {
  const log: string[] = [];
  const held = createHeldBack({
    inFlight: { settled: () => Promise.resolve(void log.push('settled')) },
    dispatch: (batch) => Promise.resolve(log.push(namesOf(batch.keys).join(' '))),
    beforeRelease: () => Promise.resolve(void log.push('the fresh first')),
    isUnmoved: (bytes, start, end) => bytes.toString('latin1', start, end) === 'stays',
    leave: (keys) => void log.push(`left: ${namesOf(keys).join(' ')}`),
  });
  return { held, log };
}

describe('batches that are held back', () => {
  it('lets batches go together once all before them have come to rest', async () => {
    const { held, log } = begin();
    await held.add(batchOf(keysOf('a', 'b')));
    await held.add(batchOf(keysOf('c')));
    expect(log).toEqual([]);
    await held.release();
    expect(log).toEqual(['the fresh first', 'settled', 'a b', 'c']);
    await held.release();
    expect(log).toHaveLength(4);
  });

  it('never lets a key go twice at one time, in one batch or in two', async () => {
    const { held, log } = begin();
    await held.add(batchOf(keysOf('a', 'b', 'a')));
    await held.add(batchOf(keysOf('c', 'a')));
    await held.release();
    const expected = [['a b'], ['a', 'c'], ['a']];
    expect(log).toEqual(expected.flatMap((group) => ['the fresh first', 'settled', ...group]));
  });

  it('leaves out what is known to stay by then', async () => {
    const { held, log } = begin();
    await held.add(batchOf(keysOf('a', 'stays', 'b')));
    await held.release();
    expect(log.slice(2)).toEqual(['left: stays', 'a b']);
  });
});
