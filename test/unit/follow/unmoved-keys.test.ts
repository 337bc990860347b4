import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { UnmovedKeys } from '../../../src/follow/changed-keys.js';
import { outcomeBuilder } from '../../../src/movers/outcome.js';
import type { Mover } from '../../../src/types.js';
import { batchOf } from '../../support/batches.js';
import { keysOf } from '../../support/keys.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A mover that fails with these keys, and one that is well. */
function moverFor(...failing: string[]): Mover {
  return {
    name: 'relay',
    move({ keys }) {
      const outcome = outcomeBuilder();
      outcome.fail(keysOf(...failing), { class: 'other', message: 'no' });
      outcome.moved += keys.count - failing.length;
      return Promise.resolve(outcome.build());
    },
  };
}

it('lets keys be tried again at once, and only once', async () => {
  const noted: string[] = [];
  const unmoved = new UnmovedKeys(() => ({ note: (name) => noted.push(name) }));
  await unmoved.retrying(moverFor('a')).move(batchOf(keysOf('a'), {}));
  unmoved.tryNow();
  expect([noted, unmoved.count]).toEqual([['a'], 0]);
  vi.advanceTimersByTime(5000);
  expect(noted).toEqual(['a']);
});

it('counts no failure for good, and lets each key be tried again', async () => {
  const noted: string[] = [];
  const unmoved = new UnmovedKeys(() => ({ note: (name) => noted.push(name) }));
  const keys = keysOf('a', 'b', 'c');
  const outcome = await unmoved.retrying(moverFor('a', 'b')).move(batchOf(keys, {}));
  expect(outcome).toMatchObject({ moved: 1, repeated: 2, failed: 0, conflicting: 0, failures: [] });
  expect([unmoved.count, unmoved.first?.message]).toEqual([2, 'no']);
  vi.advanceTimersByTime(1000);
  expect(noted).toEqual(['a', 'b']);
  expect(unmoved.count).toBe(0);
  await unmoved.retrying(moverFor('b')).move(batchOf(keysOf('a', 'b'), {}));
  expect(unmoved.count).toBe(1);
  unmoved.close();
  vi.advanceTimersByTime(5000);
  expect(noted).toEqual(['a', 'b']);
});
