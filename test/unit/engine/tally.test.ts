import { describe, expect, it } from 'vitest';
import { createTally } from '../../../src/engine/tally.js';
import type { KeyFailure, Outcome } from '../../../src/types.js';
import { batchOf, outcome, someKeys, sourceOf } from '../../support/batches.js';

const failures = (count: number): KeyFailure[] =>
  Array.from({ length: count }, (_, nth) => ({
    key: Buffer.from(String(nth)),
    class: 'other',
    message: 'no',
  }));

const retry = (count: number, why: 'redirected' | 'oom' = 'oom') => ({
  keys: someKeys(count),
  class: why,
  message: 'later',
});

/** One batch of ten keys, through the tally. */
function count(changes: Partial<Outcome>, mode: 'move' | 'copy' = 'move') {
  const tally = createTally(sourceOf(100), mode);
  const batch = batchOf(someKeys(10));
  tally.started(batch);
  tally.ended(batch, 'relay', outcome(changes), 5);
  return { tally, batch, snapshot: tally.snapshot() };
}

describe('the tally', () => {
  it.each<[string, Partial<Outcome>]>([
    ['loses a key', { moved: 9 }],
    ['makes one up', { moved: 10, gone: 1 }],
    ['loses all', {}],
    ['forgets what it fails', { moved: 9, failures: failures(1) }],
    ['counts a retry twice', { moved: 8, retries: [retry(2), retry(2)] }],
    ['is not a number', { moved: Number.NaN }],
  ])('stops the run when a mover %s', (_, changes) => {
    expect(() => count(changes)).toThrow(/^of a batch of 10 keys .* were accounted for/);
  });

  it('keeps the first and the latest hundred of what failed', () => {
    const tally = createTally(sourceOf(1000), 'move');
    for (let nth = 0; nth < 3; nth++) {
      const batch = batchOf(someKeys(150));
      tally.started(batch);
      const failed = failures(150).map(({ key, ...rest }) => ({
        ...rest,
        key: Buffer.concat([key, Buffer.from(`/${String(nth)}`)]),
      }));
      tally.ended(batch, 'relay', outcome({ failed: 150, failures: failed }), 5);
    }
    const { failures: first, latestFailures: latest } = tally.snapshot();
    expect([first.length, latest.length]).toEqual([100, 100]);
    expect(first.map(({ key }) => key.toString())).toContain('99/0');
    expect(latest.map(({ key }) => key.toString()).slice(-2)).toEqual(['148/2', '149/2']);
    expect(latest[0]?.key.toString()).toBe('50/2');
  });

  it('begins where an earlier run had come to', () => {
    const tally = createTally(
      { ...sourceOf(100), progress: 1, expectedKeys: 20, earlierShare: 0.8 },
      'copy',
    );
    expect(tally.snapshot()).toMatchObject({ progress: 0.8, earlierShare: 0.8 });
    const batch = batchOf(someKeys(10));
    tally.started(batch);
    tally.ended(batch, 'relay', outcome({ moved: 10 }), 5);
    expect(tally.snapshot().progress).toBeCloseTo(0.9);
  });

  it('adds up what became of a batch', () => {
    const { snapshot } = count({
      ...{ moved: 1, gone: 2, repeated: 1, conflicting: 1, failed: 2, bytes: 99 },
      retries: [retry(2), retry(1, 'redirected')],
      failures: failures(3),
    });
    expect(snapshot).toMatchObject({
      ...{ scanned: 9, moved: 1, gone: 2, conflicting: 1, failed: 2, bytes: 99 },
      ...{ retries: 3, redirects: 1, progress: 0.5, sourceKeysLeft: 97 },
      nodes: [{ address: 'node:7001', keys: 1, bytes: 99, inflightKeys: 0 }],
    });
    expect(snapshot.failures).toHaveLength(3);
  });

  it('is no further than the work, where the listing is ahead of it', () => {
    const tally = createTally({ ...sourceOf(100), progress: 1, expectedKeys: 20 }, 'move');
    const batches = [batchOf(someKeys(10)), batchOf(someKeys(10))] as const;
    for (const batch of batches) tally.started(batch);
    tally.ended(batches[0], 'relay', outcome({ moved: 8, gone: 2 }), 5);
    expect(tally.snapshot().progress).toBe(0.5);
    tally.ended(batches[1], 'relay', outcome({ conflicting: 10 }), 5);
    expect(tally.snapshot().progress).toBe(1);
  });

  it('is done with a followed source once the first copy is, whatever is copied again', () => {
    const tally = createTally({ ...sourceOf(100), progress: 1, isFollowed: true }, 'copy');
    tally.started(batchOf(someKeys(10), { node: { address: 'a:1', host: '', port: 0 } }));
    expect(tally.snapshot().progress).toBe(1);
  });

  it('is not done while keys are in flight', () => {
    const tally = createTally({ ...sourceOf(100), progress: 1, expectedKeys: 1 }, 'move');
    const batch = batchOf(someKeys(10));
    tally.started(batch);
    tally.ended(batch, 'relay', outcome({ moved: 10 }), 5);
    tally.started({ ...batch, attempt: 1 });
    expect(tally.snapshot().progress).toBe(0.999);
  });

  it('counts keys that go round once, and those that stay behind not at all', () => {
    const { tally, batch } = count({ moved: 6, retries: [retry(4)] });
    const again = { ...batch, keys: someKeys(4), attempt: 1 };
    tally.started(again);
    expect(tally.snapshot()).toMatchObject({ scanned: 10, nodes: [{ inflightKeys: 4 }] });
    tally.ended(again, 'relay', outcome({ moved: 1, retries: [retry(2), retry(1)] }), 5);
    tally.givenUp(retry(2), failures(2), 'node:7001');
    tally.leftBehind(1);
    const { scanned, moved, failed } = tally.snapshot();
    expect([scanned, moved, failed]).toEqual([9, 7, 2]);
  });

  it('keeps a hundred failures, and tells of every one', () => {
    const tally = createTally(sourceOf(1), 'copy');
    let told = 0;
    tally.onFailure(() => told++);
    const batch = batchOf(someKeys(150));
    tally.started(batch);
    tally.ended(batch, 'relay', outcome({ failed: 150, failures: failures(150) }), 5);
    expect([told, tally.snapshot().failures.length]).toEqual([150, 100]);
  });

  it('tells what is left at a source that is only copied from', () => {
    expect(count({ moved: 10 }, 'copy').snapshot.sourceKeysLeft).toBe(100);
    expect(count({ moved: 9, gone: 1 }).snapshot.sourceKeysLeft).toBe(90);
  });
});
