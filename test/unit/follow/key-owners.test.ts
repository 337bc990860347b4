import { expect, it } from 'vitest';
import { listingRecord } from '../../../src/engine/seen-keys.js';
import { OwnKeys } from '../../../src/follow/all-sources.js';

function sources(): readonly [(key: string) => boolean, (key: string) => boolean] {
  const all = listingRecord(1000, 'sparse');
  const claimBy = (own: OwnKeys) => (key: string) => own.claim(Buffer.from(key), 0, key.length);
  return [
    claimBy(new OwnKeys(all, listingRecord(1000, 'sparse'))),
    claimBy(new OwnKeys(all, listingRecord(1000, 'sparse'))),
  ];
}

it('gives each key to the source that had it first, for good', () => {
  const [one, other] = sources();
  expect([one('a'), other('b')]).toEqual([true, true]);
  expect([other('a'), one('b')]).toEqual([false, false]);
  // Having asked for it makes it no more theirs.
  expect([other('a'), one('b')]).toEqual([false, false]);
  expect([one('a'), other('b')]).toEqual([true, true]);
});
