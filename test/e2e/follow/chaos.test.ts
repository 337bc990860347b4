/** A few rounds of the chaos suite for runs that follow, always the same ones: test/follow/main.ts. */
import { expect, it } from 'vitest';
import { playRounds } from '../../follow/rounds.js';

/**
 * Writers that a command switches, whose connections are cut under it; a run that is killed, and databases that
 * are swapped and emptied; with replicas, a run that cuts over by itself, and is killed on the way.
 */
const seeds = [302, 306, 311];

it('has every acknowledged write in the cluster after a cutover, whatever fails', async () => {
  const lines: string[] = [];
  const say = (line: string): number => lines.push(line);
  const { failedSeeds } = await playRounds({ seeds, say, trace: () => undefined });
  expect(failedSeeds, lines.join('\n')).toEqual([]);
}, 300_000);
