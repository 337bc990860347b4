import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import calculate from 'cluster-key-slot';
import {
  chosen,
  frame,
  joined,
  keyAt,
  keysBuilder,
  slice,
  slotOf,
} from '../../../src/redis/frames.js';
import type { Keys } from '../../../src/types.js';
import { slotOf as specified } from '../../support/keys.js';

const bare = (keys: Keys): string[] =>
  Array.from({ length: keys.count }, (_, place) => keyAt(keys, place).toString('latin1'));

/** Within other bytes, as keys stand in a reply. */
function run(names: readonly string[], expectedCount = names.length): Keys {
  const builder = keysBuilder(expectedCount);
  for (const name of names) {
    const whole = Buffer.concat([
      Buffer.from('xx'),
      frame(Buffer.from(name, 'latin1')),
      Buffer.alloc(3),
    ]);
    builder.add(whole, 2, whole.length - 3);
  }
  return builder.take();
}

const names = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom('', 'a\r\nb', '$3\r\n', 'x'.repeat(63), 'y'.repeat(200), 'z'.repeat(1001)),
  ),
  { maxLength: 20 },
);

describe('a run of keys', () => {
  it('gives back the keys that were added, whatever was expected', () => {
    fc.assert(
      fc.property(names, fc.integer({ min: 0, max: 5 }), (all, expectedCount) => {
        const keys = run(all, expectedCount);
        expect(bare(keys)).toEqual(all);
        expect(keys.starts[keys.count]).toBe(keys.bytes.length);
      }),
    );
  });

  it('comes out the same when its frames arrive in pieces', () => {
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 7 }), (all, pieceBytes) => {
        const builder = keysBuilder(2);
        for (const name of all) {
          const whole = frame(Buffer.from(name, 'latin1'));
          for (let at = 0; at < whole.length; at += pieceBytes) {
            builder.piece(whole, at, Math.min(whole.length, at + pieceBytes));
          }
          builder.seal();
        }
        expect(builder.take().bytes.equals(run(all).bytes)).toBe(true);
      }),
    );
  });

  it('is cut, chosen from and joined without losing or mixing a key', () => {
    fc.assert(
      fc.property(names, fc.nat(20), fc.nat(20), (all, one, other) => {
        const keys = run(all);
        const [from, to] = [one, other].map((at) => Math.min(at, all.length)).sort((a, b) => a - b);
        const parts = [slice(keys, 0, from ?? 0), slice(keys, from ?? 0, to ?? 0)];
        expect(bare(parts[1] as Keys)).toEqual(all.slice(from, to));
        expect(bare(joined([...parts, slice(keys, to ?? 0, all.length)]))).toEqual(all);
        const odd = [...all.keys()].filter((place) => place % 2 === 1);
        expect(bare(chosen(keys, odd))).toEqual(odd.map((place) => all[place]));
      }),
    );
  });

  it('starts anew once it was taken', () => {
    const builder = keysBuilder(1);
    const whole = frame(Buffer.from('first'));
    builder.add(whole, 0, whole.length);
    const first = builder.take();
    expect([builder.count, builder.byteLength, builder.take().count]).toEqual([0, 0, 0]);
    const next = frame(Buffer.from('other'));
    builder.add(next, 0, next.length);
    expect([bare(first), bare(builder.take())]).toEqual([['first'], ['other']]);
  });
});

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
