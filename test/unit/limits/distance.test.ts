import { expect, it } from 'vitest';
import { createDistance } from '../../../src/limits/limits.js';

function told(distance = createDistance()): readonly number[] {
  return [distance.pageKeys(), distance.inflightKeys(), distance.askedKeys()];
}

it('grows with the way', () => {
  const [near, far] = [createDistance(), createDistance()];
  near.noteSource(0.1);
  far.noteSource(5);
  far.noteNode('a:1', 5);
  told(near).forEach((keys, at) => {
    expect(keys).toBeLessThan(told(far)[at] as number);
  });
});

it('does not take a server that is busy for one that is far', () => {
  const [idle, busy] = [createDistance(), createDistance()];
  for (const distance of [idle, busy]) {
    distance.noteSource(0.2);
    distance.noteNode('a:1', 0.2);
  }
  busy.noteSource(40);
  busy.noteNode('a:1', 40);
  expect(told(busy)).toEqual(told(idle));
});

it('goes by the farthest of the nodes', () => {
  const [one, two] = [createDistance(), createDistance()];
  one.noteNode('a:1', 9);
  two.noteNode('a:1', 9);
  two.noteNode('b:1', 0.1);
  expect(told(two)).toEqual(told(one));
});
