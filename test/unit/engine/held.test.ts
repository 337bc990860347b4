import { expect, it } from 'vitest';
import { createBarrier } from '../../../src/engine/barrier.js';
import { createHeld } from '../../../src/engine/held.js';
import { keysOf } from '../../fuzz/readers.js';
import { batchOf, namesOf } from './given.js';

function begin(): { held: ReturnType<typeof createHeld>; log: string[] } {
  const log: string[] = [];
  const barrier = createBarrier();
  const held = createHeld({
    barrier: { ...barrier, settled: () => Promise.resolve(void log.push('settled')) },
    dispatch: (batch) => Promise.resolve(log.push(namesOf(batch.keys).join(' '))),
    beforeRelease: () => Promise.resolve(void log.push('the fresh first')),
  });
  return { held, log };
}

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
