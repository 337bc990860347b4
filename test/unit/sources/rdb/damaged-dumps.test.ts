/** Mutated and truncated dumps: a few of those that `npm run fuzz:dump` tries. */
import { expect, test } from 'vitest';
import { randomFrom } from '../../../support/random.js';
import { mutated } from '../../../fuzz/dump/mutate.js';
import { readDump } from '../../../fuzz/dump/read.js';
import { largeSpecimen, specimens } from '../../../fuzz/dump/specimens.js';
import { tryDump } from '../../../fuzz/dump/trial.js';

test('are imported as they stand, or end in a clear error', async () => {
  const endings = new Set<string>();
  for (let nth = 0; nth < 60; nth++) endings.add((await tryDump(1, nth, '')).ending);
  expect([...endings].sort()).toEqual(['done', 'refused', 'waiting']);
});

test('are told apart by the same seed, and by another one', () => {
  const [{ file }] = specimens as [(typeof specimens)[0]];
  const made = [1, 1, 2].map((seed) => mutated(file, randomFrom(seed, 0)).toString('hex'));
  expect(made[0]).toBe(made[1]);
  expect(made[2]).not.toBe(made[0]);
});

test('of every version are read whole where they are as they were written', async () => {
  for (const { name, file } of [...specimens, largeSpecimen]) {
    const { damage, sent } = await readDump(file, 1000);
    expect(damage, name).toBeUndefined();
    expect(sent.length, name).toBeGreaterThan(11);
  }
});
