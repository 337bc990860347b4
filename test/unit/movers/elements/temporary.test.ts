import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  tagOf,
  temporaryNameFor,
  temporaryPrefix,
} from '../../../../src/movers/elements/writer.js';
import { edgeKeys, slotOf } from '../../../support/keys.js';

/** Bytes among which braces are frequent. */
const anyKey = fc
  .array(fc.oneof(fc.constantFrom(123, 125, 0, 13), fc.nat(255)), { maxLength: 40 })
  .map((bytes) => Buffer.from(bytes));

describe('temporary names', () => {
  it('are of the slot of any key', () => {
    fc.assert(
      fc.property(anyKey, (key) => slotOf(temporaryNameFor(key)) === slotOf(key)),
      { numRuns: 100_000 },
    );
  });

  it.each(edgeKeys)('are of the slot of %j', (key) => {
    expect(slotOf(temporaryNameFor(key))).toBe(slotOf(key));
  });

  it('are recognizable, and no two are alike', () => {
    const names = Array.from({ length: 1000 }, () =>
      temporaryNameFor(Buffer.from('key')).toString(),
    );
    expect(new Set(names).size).toBe(1000);
    expect(names.every((name) => name.startsWith(temporaryPrefix))).toBe(true);
  });

  it('have a short tag for each slot', () => {
    for (let slot = 0; slot < 16_384; slot++) {
      const tag = tagOf(slot);
      expect(tag).toMatch(/^[0-9a-z]{1,4}$/);
      if (slotOf(tag) !== slot) throw new Error(`${tag} is not of slot ${String(slot)}`);
    }
  });
});
