import calculate from 'cluster-key-slot';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { slotOf } from '../../../src/redis/slot.js';
import { slotOf as specified } from '../../support/slot.js';

const slot = (key: Buffer | string): number => {
  const bytes = Buffer.from(key);
  return slotOf(bytes, 0, bytes.length);
};

/** Keys in which braces are frequent enough to matter. */
const keys = fc
  .array(fc.oneof(fc.constantFrom(123, 125), fc.integer({ min: 0, max: 255 })), { maxLength: 12 })
  .map((bytes) => Buffer.from(bytes));

it.each([
  // Asked of a server, with CLUSTER KEYSLOT.
  ['', 0],
  ['123456789', 12739],
  ['foo', 12182],
  ['{foo}bar', 12182],
  ['a{foo}{bar}', 12182],
  ['{}foo}', 2045],
  ['foo{}{bar}', 8363],
  ['{{bar}}', 4015],
  ['{foo', 13308],
  ['}{', 12793],
  ['{}', 15257],
  [Buffer.from([0xff, 0xfe, 123, 0xff, 125]), 7920],
])('gives the key %s the slot %i', (key, expected) => {
  expect(slot(key)).toBe(expected);
});

it('agrees with the specification, byte for byte', () => {
  fc.assert(fc.property(keys, (key) => slot(key) === specified(key)));
});

it('agrees with cluster-key-slot, but for the empty tag that it takes for a full one', () => {
  fc.assert(
    fc.property(
      keys.filter((key) => !key.includes('{}')),
      (key) => slot(key) === calculate(key),
    ),
  );
});

it('reads the key where it stands', () => {
  const bytes = Buffer.from('{x}{foo}bar{y}');
  expect(slotOf(bytes, 3, 11)).toBe(slot('foo'));
});
