import { describe, expect, it } from 'vitest';
import {
  sentValueOf,
  SentValues,
  valueRecord,
  withSentValues,
} from '../../../../src/movers/relay/sent-values.js';
import { command, frame, joined } from '../../../../src/redis/frames.js';
import { keysOf } from '../../../support/keys.js';

/** What was sent for these indexes of the keys, as one hold. */
function held(...commands: Buffer[]) {
  const bytes = Buffer.concat(commands);
  let released = 0;
  return {
    held: {
      byteLength: bytes.length,
      pieces: () => [bytes.subarray(0, 10), bytes.subarray(10)],
      release: () => released++,
    },
    released: () => released,
  };
}

const acksOf = (...indexes: number[]) => ({
  sentCount: indexes.length,
  indexOfSent: (index: number) => indexes[index] as number,
});

describe('what was sent', () => {
  it('is found again by key, with its deadline, whatever was left out', () => {
    const keys = keysOf('a', 'absent', 'b\r\n', 'c');
    const ttls = Float64Array.of(0, 0, 1_893_456_000_000, 0);
    const first = held(
      command('SET', 'a', 'one', 'NX'),
      command('SET', 'b\r\n', '*2\r\n$1\r\n', 'NX', 'PXAT', 1_893_456_000_000),
    );
    const sent = new SentValues();
    const common = { keys, acks: acksOf(0, 2, 3), ttls, asking: false, form: 'value' } as const;
    sent.keep({ ...common, ...first, first: 0 });
    const known = sent.withValues(keys);
    expect(sentValueOf(known, 0)).toMatchObject({ form: 'value', deadlineMs: 0 });
    expect(sentValueOf(known, 0)?.bytes.toString()).toBe('one');
    expect(sentValueOf(known, 1)).toBeUndefined();
    expect(sentValueOf(known, 2)?.bytes.toString()).toBe('*2\r\n$1\r\n');
    expect(sentValueOf(known, 2)?.deadlineMs).toBe(1_893_456_000_000);
    // It was not kept.
    expect(sentValueOf(known, 3)).toBeUndefined();
    sent.release();
    expect(first.released()).toBe(1);
  });

  it('is found behind ASKING, in payloads, and not where it was cut off', () => {
    const keys = keysOf('a', 'b');
    const asking = command('ASKING');
    const whole = [asking, command('RESTORE', 'a', 0, 'payload')];
    const cut = command('RESTORE', 'b', 0, 'another').subarray(0, -3);
    const sent = new SentValues();
    const common = { keys, acks: acksOf(0, 1), ttls: undefined, asking: true } as const;
    sent.keep({ ...common, form: 'payload', ...held(...whole, asking, cut), first: 0 });
    const known = sent.withValues(keys);
    expect(sentValueOf(known, 0)).toMatchObject({ form: 'payload' });
    expect(sentValueOf(known, 0)?.bytes.toString()).toBe('payload');
    expect(sentValueOf(known, 1)).toBeUndefined();
  });

  it('that comes after all is released is let go at once', () => {
    const sent = new SentValues();
    sent.release();
    const late = held(command('SET', 'a', 'one'));
    const keys = keysOf('a');
    const common = { keys, acks: acksOf(0), ttls: undefined, asking: false } as const;
    sent.keep({ ...common, form: 'value', ...late, first: 0 });
    expect(late.released()).toBe(1);
  });

  it('stays beside its key when keys are put together with others', () => {
    const record = valueRecord('value', 5, frame(Buffer.from('x')));
    const known = withSentValues(keysOf('a', 'b'), [record, undefined]);
    const all = joined([keysOf('c'), known]);
    expect([0, 1, 2].map((index) => sentValueOf(all, index)?.bytes.toString())).toEqual([
      undefined,
      'x',
      undefined,
    ]);
    expect(sentValueOf(all, 1)?.deadlineMs).toBe(5);
  });
});
