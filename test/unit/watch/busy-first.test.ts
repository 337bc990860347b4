import { expect, it } from 'vitest';
import type { ServerHealth } from '../../../src/types.js';
import { busyFirst } from '../../../src/watch/busy-first.js';
import type { SourceSample } from '../../../src/watch/sampler.js';
import { well } from '../../support/tallies.js';

const away: ServerHealth = { state: 'away', sinceMs: 1, why: 'it is' };

function source(name: string, changes: Partial<SourceSample>): SourceSample {
  const counts = { moved: 0, conflicting: 0, failed: 0, keysLeft: 9, keysPerSecond: 0 };
  return { name, ...counts, progress: 0, health: well, ...changes };
}

const all = [
  source('done', { moved: 9, progress: 1 }),
  source('waits', {}),
  source('moves', { moved: 3, progress: 0.3 }),
  source('fails', { failed: 3, progress: 0.3 }),
  source('away', { moved: 3, progress: 0.3, health: away }),
];
const names = (sources: readonly SourceSample[]): string[] => sources.map(({ name }) => name);

it('leaves a few sources in their order', () => {
  expect(busyFirst(all)).toEqual(all);
});

it('shows what wants to be seen of many first, each kind in its order', () => {
  const many = [
    ...Array.from({ length: 20 }, (_, at) => source(`other ${String(at)}`, {})),
    ...all,
  ];
  const sorted = names(busyFirst(many));
  expect(sorted.slice(0, 5)).toEqual(['away', 'moves', 'fails', 'other 0', 'other 1']);
  expect(sorted.slice(-2)).toEqual(['waits', 'done']);
});
