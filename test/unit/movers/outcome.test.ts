import { describe, expect, it } from 'vitest';
import { byReason, outcomeBuilder } from '../../../src/movers/outcome.js';
import { keysOf } from '../../support/keys.js';
import { namesOf } from '../../support/batches.js';

describe('an outcome', () => {
  it('counts conflicts and failures apart, and names each key of both', () => {
    const builder = outcomeBuilder();
    builder.moved += 3;
    builder.leaveBoth(keysOf('a', 'b'), 'conflict');
    builder.leaveBoth(keysOf('c'), 'recreated');
    builder.leaveBoth(keysOf('d'), 'diverged');
    builder.fail(keysOf('', 'e'), { class: 'oom', message: 'full' });
    builder.retry(keysOf('f'), { class: 'changing', message: 'later', copy: { state: 'stored' } });
    builder.retry(keysOf(), { class: 'oom', message: 'nobody' });
    const { retries, failures, ...counts } = builder.build();
    expect(counts).toEqual({
      moved: 3,
      gone: 0,
      repeated: 0,
      deleted: 0,
      conflicting: 4,
      failed: 2,
      bytes: 0,
    });
    expect(failures.map((failure) => [failure.key.toString(), failure.class])).toEqual([
      ...[
        ['a', 'conflict'],
        ['b', 'conflict'],
        ['c', 'recreated'],
        ['d', 'diverged'],
      ],
      ...[
        ['', 'oom'],
        ['e', 'oom'],
      ],
    ]);
    expect(retries.map(({ keys, copy }) => [namesOf(keys), copy?.state])).toEqual([
      [['f'], 'stored'],
    ]);
  });

  it('keeps failed keys apart from the batch they came in', () => {
    const builder = outcomeBuilder();
    const keys = keysOf('key');
    builder.fail(keys, { class: 'other', message: 'no' });
    keys.bytes.fill(0);
    expect(builder.build().failures[0]?.key.toString()).toBe('key');
  });

  it('takes over that of a part', () => {
    const part = outcomeBuilder();
    part.moved = 2;
    part.bytes = 7;
    part.leaveBoth(keysOf('a'), 'conflict');
    part.fail(keysOf('b'), { class: 'other', message: 'no' });
    part.retry(keysOf('c'), { class: 'oom', message: 'later' });
    const whole = outcomeBuilder();
    whole.add(part.build());
    whole.add(part.build());
    const { retries, failures, ...counts } = whole.build();
    expect(counts).toEqual({
      moved: 4,
      gone: 0,
      repeated: 0,
      deleted: 0,
      conflicting: 2,
      failed: 2,
      bytes: 14,
    });
    expect([retries.length, failures.length]).toEqual([2, 4]);
  });
});

it('groups refused keys by what was said of them', () => {
  const refusals = [
    { index: 0, id: 'one', reason: 1 },
    { index: 2, id: 'other', reason: 2 },
    { index: 3, id: 'one', reason: 3 },
  ];
  const groups = byReason(keysOf('a', 'b', 'c', 'd'), refusals);
  expect(groups.map(({ keys, reason }) => [namesOf(keys), reason])).toEqual([
    [['a', 'd'], 1],
    [['c'], 2],
  ]);
});
