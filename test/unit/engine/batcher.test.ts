import { describe, expect, it } from 'vitest';
import { batcher, type BatcherOptions, regroup } from '../../../src/engine/batcher.js';
import { listingRecord } from '../../../src/engine/seen-keys.js';
import { copyWhenListed } from '../../../src/movers/policy.js';
import type { Batch } from '../../../src/types.js';
import { keysOf, slotOf } from '../../support/keys.js';
import { namesOf, nodes, someKeys, topologyWith } from '../../support/batches.js';

const begin = (changes: Partial<BatcherOptions> = {}) =>
  batcher({
    topology: topologyWith(8192),
    batchKeys: () => 10,
    batchBytes: 10_000,
    record: listingRecord(64),
    copyWhenListed: (listing) => copyWhenListed({ mode: 'move' }, listing),
    isServed: () => true,
    anyUnmoved: () => true,
    isUnmoved: () => false,
    ...changes,
  });

const all = (batches: readonly Batch[]): string[] => batches.flatMap(({ keys }) => namesOf(keys));

describe('the batcher', () => {
  it('brings every key to the node that owns its slot, once', () => {
    const sorter = begin();
    const page = someKeys(500);
    const batches = [...sorter.add(page), ...sorter.flush()];
    expect(all(batches).sort()).toEqual(namesOf(page).sort());
    for (const { keys, node } of batches) {
      const owner = nodes.indexOf(node);
      for (const name of namesOf(keys)) expect(slotOf(name) < 8192 ? 0 : 1).toBe(owner);
    }
    expect(sorter.flush()).toEqual([]);
  });

  it('fills batches by count, and leaves the rest for later pages', () => {
    const sorter = begin({ topology: topologyWith(16_384) });
    expect(sorter.add(someKeys(9))).toEqual([]);
    const [full, ...more] = sorter.add(keysOf('nine', 'ten'));
    expect([full?.keys.count, more.length]).toEqual([10, 0]);
    expect(full?.node).toBe(nodes[0]);
    expect(sorter.flush().map(({ keys }) => namesOf(keys))).toEqual([['ten']]);
  });

  it('fills batches by bytes, of which one key may be enough', () => {
    const sorter = begin({ topology: topologyWith(16_384), batchBytes: 100 });
    const keys = keysOf('a'.repeat(60), 'b'.repeat(60), 'c'.repeat(500), 'd');
    expect(sorter.add(keys).map((batch) => batch.keys.count)).toEqual([2, 1]);
  });

  it('keeps keys that were listed before apart from new ones', () => {
    const sorter = begin({ topology: topologyWith(16_384) });
    sorter.add(keysOf('one', 'two', 'one'));
    const batches = [...sorter.add(keysOf('three', 'two')), ...sorter.flush()];
    expect(
      batches.map(({ listedBefore, copy, keys }) => [listedBefore, copy.state, namesOf(keys)]),
    ).toEqual([
      [false, 'unknown', ['one', 'two', 'three']],
      [true, 'moved', ['one', 'two']],
    ]);
  });

  it('keeps keys apart that an earlier run has moved, until they are listed again', () => {
    const movedEarlier = listingRecord(64);
    movedEarlier.noted(Buffer.from('two'), 0, 3);
    const sorter = begin({ topology: topologyWith(16_384), movedEarlier });
    sorter.add(keysOf('one', 'two', 'two'));
    expect(
      sorter
        .flush()
        .map(({ listedBefore, copy, keys }) => [listedBefore, copy.state, namesOf(keys)]),
    ).toEqual([
      [false, 'unknown', ['one']],
      [false, 'may-be-moved', ['two']],
      [true, 'moved', ['two']],
    ]);
  });

  it('leaves keys of a node that is not served, and counts them, but does not note them', () => {
    let isServed = false;
    const sorter = begin({ isServed: (index) => index === 0 || isServed });
    const page = someKeys(40);
    const theirs = namesOf(page).filter((name) => slotOf(name) >= 8192);
    sorter.add(page);
    expect([sorter.takeDeferredCount(), sorter.takeDeferredCount()]).toEqual([theirs.length, 0]);
    isServed = true;
    sorter.flush();
    const again = [...sorter.add(keysOf(...theirs)), ...sorter.flush()];
    expect(again.every((batch) => !batch.listedBefore)).toBe(true);
    expect(all(again)).toEqual(theirs);
  });

  it('passes over keys that are accounted for', () => {
    const sorter = begin({
      isUnmoved: (bytes, start, end) => bytes.toString('latin1', start, end) === 'no',
    });
    sorter.add(keysOf('yes', 'no', '', 'non'));
    expect(all(sorter.flush()).sort()).toEqual(['', 'non', 'yes']);
    expect(sorter.takeDeferredCount()).toBe(0);
  });
});

it('sorts keys that go round again by the owners of that moment', () => {
  const keys = someKeys(50);
  const groups = regroup(keys, topologyWith(4000));
  expect([...groups.values()].flatMap(namesOf).sort()).toEqual(namesOf(keys).sort());
  for (const [index, some] of groups) {
    for (const name of namesOf(some)) expect(slotOf(name) < 4000 ? 0 : 1).toBe(index);
  }
});
