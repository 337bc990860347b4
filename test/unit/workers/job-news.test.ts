import { describe, expect, it } from 'vitest';
import {
  addCounts,
  batchesOf,
  batchesOnWire,
  countedBefore,
  type SourceProgress,
  tallyOf,
  tallyOnWire,
} from '../../../src/workers/job-news.js';
import type { BatchEvent, TallySnapshot } from '../../../src/types.js';
import { well } from '../../support/tallies.js';

const failure = { key: Buffer.from([0xff, 0]), class: 'conflict', message: 'it has it' } as const;
const tally: TallySnapshot = {
  startedAtMs: 1000,
  scanned: 20,
  moved: 10,
  gone: 2,
  conflicting: 1,
  failed: 0,
  bytes: 500,
  retries: 3,
  redirects: 1,
  onBothSides: 0,
  nodes: [
    {
      ...{ address: 'a:1', keys: 10, bytes: 500, inflightKeys: 7, retries: 3, unmoved: 1 },
      health: well,
    },
  ],
  sources: [
    {
      ...{ name: 's:1/0', moved: 10, conflicting: 1, failed: 0, keysLeft: 9, progress: 0.5 },
      health: well,
    },
  ],
  causes: [
    { from: 's:1/0', class: 'conflict', message: 'it has it', count: 1, examples: [failure.key] },
  ],
  failures: [failure],
  latestFailures: [failure],
  progress: 0.5,
  earlierShare: 0,
  sourceKeysLeft: 9,
  expectedKeys: 21,
};
const progress: SourceProgress = {
  tally: tallyOnWire(tally),
  mover: { name: 'relay', reason: 'it is' },
  settled: null,
};

it('keeps keys as they are on the way', () => {
  expect(tallyOf(JSON.parse(JSON.stringify(tallyOnWire(tally))) as never)).toEqual(tally);
});

it('keeps what batches say, and says little of those that went well', () => {
  const plain = { mover: 'relay', durationMs: 1.5, troubles: [], repeated: 0, deleted: 0 } as const;
  const troubled = { ...plain, node: 'a:1', troubles: [['conflict', 2]] } as const;
  const all: BatchEvent[] = Array.from({ length: 300 }, (_, nth) => ({
    ...plain,
    node: `${nth % 2 === 0 ? 'a' : 'b'}:1`,
    durationMs: nth / 4,
  }));
  const wire = JSON.stringify(batchesOnWire([...all, troubled]));
  const sorted = [...all].sort((one, other) => one.node.localeCompare(other.node));
  expect(batchesOf(JSON.parse(wire) as never)).toEqual([...sorted, troubled]);
  expect(wire.length).toBeLessThan(JSON.stringify(all).length / 10);
});

describe('what counts of an attempt whose process died', () => {
  it('is nothing where it was never heard', () => {
    expect(countedBefore(undefined, false)).toBeUndefined();
  });

  it('is what has left the source: the rest is met again', () => {
    expect(countedBefore(progress, false)).toMatchObject({
      ...{ scanned: 12, moved: 10, gone: 2, conflicting: 0, failures: [] },
      nodes: [{ inflightKeys: 0, keys: 10 }],
    });
  });

  it('is, of a copy, what it had done up to where its scan is gone on with', () => {
    expect(countedBefore(progress, true)).toBeUndefined();
    const settled = { position: { cursor: '7', server: 'x' }, tally: tallyOnWire(tally) };
    expect(countedBefore({ ...progress, settled }, true)).toMatchObject({
      ...{ scanned: 20, conflicting: 1, failures: [failure] },
    });
  });

  it('is added to what the next one counts, which says where it stands', () => {
    const now = { ...tally, startedAtMs: 5000, progress: 0.7, sourceKeysLeft: 4 };
    expect(addCounts(countedBefore(progress, false), now)).toMatchObject({
      ...{ startedAtMs: 1000, scanned: 32, moved: 20, gone: 4, conflicting: 1, bytes: 1000 },
      ...{ progress: 0.7, sourceKeysLeft: 4 },
      nodes: [{ address: 'a:1', keys: 20, bytes: 1000, inflightKeys: 7, retries: 6 }],
    });
    expect(addCounts(undefined, now)).toBe(now);
  });
});
