import { describe, expect, it } from 'vitest';
import { matchesGlob, nameLike, trialNameLike, trialNames } from '../../../src/sources/glob.js';

describe('names of keys that do not exist', () => {
  it.each([
    ['*', 'T'],
    ['app:*', 'app:T'],
    ['*:app:*', 'T:app:'],
    ['a?[bc]*', 'axbT'],
    ['[^x]*', 'aT'],
    ['[\\]]*', ']T'],
    ['\\**', '*T'],
    ['[5-7]*', '5T'],
    ['{user}:*', '{user}:T'],
  ])('are like %s', (glob, name) => {
    expect(nameLike(glob, 'T')).toBe(name);
    expect(matchesGlob(Buffer.from(glob), Buffer.from(name))).toBe(true);
  });

  it.each(['app:config', 'a?b', 'é[^é]'])('are not made of %s, which may match a key', (glob) => {
    expect(nameLike(glob, 'T')).toBeUndefined();
    expect(trialNames([glob])).toEqual([]);
  });

  it('are others each time, and one for each glob', () => {
    const names = trialNames(['a:*', 'b', 'c:*']);
    expect(names).toEqual([expect.stringMatching(/^a:/), expect.stringMatching(/^c:/)]);
    expect(trialNames(['a:*', 'c:*'])[0]).not.toBe(names[0]);
    expect(trialNames([])).toHaveLength(1);
    expect(trialNameLike(['b', 'c:*'])).toMatch(/^c:cluster-import:trial:/);
    expect(trialNameLike(['b'])).toMatch(/^cluster-import:trial:/);
  });
});
