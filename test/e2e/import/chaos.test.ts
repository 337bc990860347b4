/** A few rounds of the chaos suite, always the same ones: test/chaos/main.ts says what it promises. */
import { expect, it } from 'vitest';
import { playRounds } from '../../chaos/rounds.js';

/**
 * All with clients on both sides: a connection that is cut; with replicas, a killed run; with MIGRATE and
 * keys that are replaced, a source that refuses writes for a while, and slots that move.
 */
const seeds = [9, 25, 36];

it('finds every acknowledged write once, whatever fails', async () => {
  const lines: string[] = [];
  const say = (line: string): number => lines.push(line);
  const { failedSeeds } = await playRounds({ seeds, flags: [], say, trace: () => undefined });
  expect(failedSeeds, lines.join('\n')).toEqual([]);
}, 300_000);
