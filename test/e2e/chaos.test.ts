/** A few rounds of the chaos suite, always the same ones: test/chaos/main.ts says what it promises. */
import { expect, it } from 'vitest';
import { playRounds } from '../chaos/rounds.js';

/**
 * With MIGRATE, a killed run and a connection cut midway; a master that dies with a replica in its
 * place; and with the relay, a killed run and node, a stopped source and slots that move.
 */
const seeds = [3, 4, 14];

it('finds every acknowledged write once, whatever fails', async () => {
  const lines: string[] = [];
  const say = (line: string): number => lines.push(line);
  const { failedSeeds } = await playRounds({ seeds, flags: [], say, trace: () => undefined });
  expect(failedSeeds, lines.join('\n')).toEqual([]);
}, 120_000);
