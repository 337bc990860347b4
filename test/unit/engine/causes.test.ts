import { describe, expect, it } from 'vitest';
import { createCauses, joinCauses } from '../../../src/engine/tally.js';
import type { KeyFailure } from '../../../src/types.js';

const failure = (key: string, message: string, why: KeyFailure['class'] = 'unavailable') => ({
  key: Buffer.from(key),
  class: why,
  message,
});

describe('causes', () => {
  it('count what was left behind by its reason, the most frequent first, with some examples', () => {
    const causes = createCauses('s:1/0');
    causes.add(failure('c', 'is there', 'conflict'));
    for (let nth = 0; nth < 5; nth++) {
      causes.add(failure(String(nth), `a:1 refused; given up after ${String(nth)} tries`));
    }
    const all = causes.all();
    expect(all.map(({ class: why, count }) => [why, count])).toEqual([
      ['unavailable', 5],
      ['conflict', 1],
    ]);
    expect(all[0]?.examples.map(String)).toEqual(['0', '1', '2']);
    expect(all[0]?.message).toBe('a:1 refused; given up after 0 tries');
  });

  it('are one where only the name of an element differs', () => {
    const causes = createCauses('s:1/0');
    causes.add(failure('a', 'field "one" differs', 'differs'));
    causes.add(failure('b', 'field "two \\" more" differs', 'differs'));
    expect(causes.all()).toHaveLength(1);
  });

  it('stay few, whatever the messages are', () => {
    const causes = createCauses('s:1/0');
    for (let nth = 0; nth < 10_000; nth++) causes.add(failure('k', `no ${String(nth)}`, 'other'));
    const all = causes.all();
    expect(all.length).toBeLessThanOrEqual(51);
    expect(all.reduce((sum, { count }) => sum + count, 0)).toBe(10_000);
    expect(all[0]).toMatchObject({ message: 'other reasons' });
  });

  it('of several sources are added up', () => {
    const one = {
      from: 's:1/0',
      class: 'oom',
      message: 'full',
      count: 2,
      examples: [Buffer.from('a')],
    } as const;
    const other = { ...one, count: 5, examples: [Buffer.from('b')] };
    expect(joinCauses([one, { ...other, from: 's:2/0' }])).toHaveLength(2);
    const [joined] = joinCauses([one, other]);
    expect(joined).toMatchObject({ count: 7, examples: [Buffer.from('a'), Buffer.from('b')] });
  });
});
