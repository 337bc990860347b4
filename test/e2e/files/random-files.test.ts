/** Whatever a server holds, and however it writes that to a file: it arrives as it was. */
import { expect, it } from 'vitest';
import { playRound, type Writing, writingConfig, writings } from '../../files/round.js';
import { randomFrom } from '../../support/random.js';
import { setStage } from '../../support/stage.js';

const stage = setStage({ source: { config: writingConfig } });
const encodings = new Set<string>();

/** More rounds, and larger ones: `npm run test:files`. */
it.each(writings.map((writing, nth): [Writing, number] => [writing, nth]))(
  'imports random data of every type: %s',
  async (writing, nth) => {
    const round = await playRound(stage, writing, randomFrom(7, nth), 600);
    expect(round.keys).toBeGreaterThan(590);
    expect(round.mover === 'restore').toBe(/SAVE|dump/.test(writing));
    for (const encoding of round.encodings) encodings.add(encoding);
  },
);

it('had every encoding among them', () => {
  expect([...encodings].sort()).toEqual(
    ['hash hashtable', 'hash listpack', 'list quicklist', 'set hashtable', 'set intset']
      .concat(['stream stream', 'string embstr', 'string int', 'string raw'])
      .concat(['zset listpack', 'zset skiplist']),
  );
});
