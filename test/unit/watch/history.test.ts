import { describe, expect, it } from 'vitest';
import { createEvents } from '../../../src/watch/history.js';
import type { Sample } from '../../../src/watch/sampler.js';
import type { ServerHealth } from '../../../src/types.js';
import { at, facts, sampleOf, unsteered, well } from '../../support/tallies.js';

const node = (health: ServerHealth) => ({
  address: 'a:1',
  keys: 1,
  bytes: 1,
  inflightKeys: 0,
  retries: 0,
  unmoved: 0,
  health,
});

function found(...changes: Partial<Sample>[]): string[] {
  const events = createEvents();
  changes.forEach((change, second) => {
    events.note(sampleOf({ snapshot: at(second), atMs: second * 1000, ...change }));
  });
  return events.all().map(({ atMs, kind, text }) => `${String(atMs)} ${kind} ${text}`);
}

const steered = (changes: object): Partial<Sample> => ({
  facts: { ...facts, steering: { ...unsteered, ...changes } },
});

describe('events', () => {
  it('are none while nothing happens', () => {
    expect(found({}, {}, {})).toEqual([]);
  });

  it('are pauses and limits', () => {
    expect(
      found({}, steered({ isPaused: true }), steered({ keysPerSecond: 5000 }), steered({})),
    ).toEqual([
      '1000 steered paused',
      '2000 steered went on',
      '2000 steered limit on keys: 5,000 keys/s',
      '3000 steered no limit on keys any more',
    ]);
  });

  it('are servers that go and come back, and stalls', () => {
    const away = { state: 'away', sinceMs: 1000, why: 'refused' } as const;
    const of = (health: ServerHealth) => ({ snapshot: at(1, { nodes: [node(health)] }) });
    const stall = { forMs: 3000, waitingFor: ['a:1'] };
    expect(
      found(
        of(well),
        of(away),
        { ...of(away), stall },
        of(well),
        of({ ...away, state: 'given-up' }),
      ),
    ).toEqual([
      '1000 trouble a:1 is away',
      '2000 trouble stalled: waiting for a:1',
      '3000 good keys move again',
      '3000 good a:1 is back after 2.0 s',
      '4000 trouble a:1 is given up',
    ]);
  });

  it('are the first keys that are left behind, and the mover', () => {
    const causes = [
      { from: 's:1/0', class: 'conflict', message: 'is there', count: 1, examples: [] },
    ] as const;
    const migrate = { name: 'migrate', reason: 'faster' } as const;
    expect(
      found({}, { snapshot: at(1, { causes }) }, { facts: { ...facts, mover: migrate } }),
    ).toEqual([
      '1000 trouble the first keys are left behind: conflict',
      '2000 progress the mover is migrate',
    ]);
  });

  it('stay few', () => {
    const many = Array.from({ length: 1000 }, (_, nth) => steered({ isPaused: nth % 2 === 0 }));
    expect(found(...many)).toHaveLength(200);
  });
});
