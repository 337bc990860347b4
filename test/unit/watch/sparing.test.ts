import { expect, it } from 'vitest';
import { createSpared } from '../../../src/watch/sampler.js';

const free = { sourceLatencyMs: undefined, others: { count: 0 } };
const held = { sourceLatencyMs: 2, others: { count: 4 } };

it('tells how fast a run was while it spared others, and otherwise', () => {
  const spared = createSpared();
  spared.note(0, 0, free);
  spared.note(2000, 400_000, free);
  spared.note(3000, 500_000, held);
  spared.note(6000, 650_000, held);
  expect(spared.sparing).toEqual({
    limitMs: 2,
    forOthers: true,
    durationMs: 4000,
    keysPerSecond: 62_500,
    otherwiseKeysPerSecond: 200_000,
  });
});

it('tells nothing where nobody was ever spared', () => {
  const spared = createSpared();
  spared.note(0, 0, free);
  spared.note(5000, 1, free);
  expect(spared.sparing).toBeUndefined();
});

it('gives no rate of less than a second, and leaves pauses out', () => {
  const spared = createSpared();
  spared.note(0, 0, { sourceLatencyMs: 5, others: undefined });
  spared.note(900, 90, { sourceLatencyMs: 5, others: undefined });
  spared.note(60_000, 90, undefined);
  expect(spared.sparing).toMatchObject({ durationMs: 900, keysPerSecond: null, forOthers: false });
});
