/** A few rounds of the chaos suite, always the same ones: test/chaos/main.ts says what it promises. */
import { expect, it } from 'vitest';
import { playRounds } from '../../chaos/rounds.js';

/**
 * All with clients on both sides: a connection that is cut; with replicas, a killed run; with MIGRATE and
 * keys that are replaced, a source that refuses writes for a while, and slots that move.
 */
const seeds = [9, 25, 36];

it.each([
  ['one source', 1, seeds],
  // One whose process is killed.
  ['two, by two processes', 2, [3]],
])(
  'finds every acknowledged write once, whatever fails, of %s',
  async (_, workers, played) => {
    const lines: string[] = [];
    const say = (line: string): number => lines.push(line);
    const options = { seeds: played, workers, flags: [], say, trace: () => undefined };
    const { failedSeeds } = await playRounds(options);
    expect(failedSeeds, lines.join('\n')).toEqual([]);
  },
  300_000,
);
