/** A few rounds of the chaos suite for runs that follow, always the same ones: test/follow/main.ts. */
import { expect, it } from 'vitest';
import { playRounds } from '../../follow/rounds.js';

/**
 * One source: writers that a command switches, whose connections are cut under it; a run that is killed, and databases
 * that are swapped and emptied; with replicas, a run that cuts over by itself, and is killed on the way. Several: a
 * run that is killed, and a source. A cluster: a master that is killed, and a slot that moves.
 */
const rounds = [
  { sources: 'one', seeds: [302, 306, 311] },
  { sources: 'several', seeds: [323] },
  { sources: 'cluster', seeds: [300, 302] },
] as const;

it.each(rounds)(
  'has every acknowledged write of $sources in the cluster after a cutover, whatever fails',
  async ({ sources, seeds }) => {
    const lines: string[] = [];
    const say = (line: string): number => lines.push(line);
    const { failedSeeds } = await playRounds({ sources, seeds, say, trace: () => undefined });
    expect(failedSeeds, lines.join('\n')).toEqual([]);
  },
  300_000,
);
