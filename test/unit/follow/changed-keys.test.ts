import { expect, it } from 'vitest';
import { ChangedKeys } from '../../../src/follow/changed-keys.js';
import type { HeldUp } from '../../../src/types.js';

const holding = (...slots: number[]): HeldUp => ({
  any: true,
  has: (slot) => slots.includes(slot),
});

it('holds each changed key once, and counts each change', () => {
  const changed = new ChangedKeys();
  for (const name of ['a', 'b', 'a']) changed.note(name);
  expect([changed.count, changed.heard]).toEqual([2, 3]);
  const taken = changed.take();
  expect([...taken.names.keys()]).toEqual(['a', 'b']);
  expect(taken.everything).toBeUndefined();
  expect(changed.count).toBe(0);
});

it('lets a key that is changed after the taking wait again', () => {
  const changed = new ChangedKeys();
  changed.note('a');
  changed.take();
  changed.note('a');
  expect([...changed.take().names.keys()]).toEqual(['a']);
});

it('remembers no more names than it may, and has all keys looked at instead', () => {
  const changed = new ChangedKeys();
  for (let at = 0; at <= 1_000_000; at++) changed.note(String(at));
  expect(changed.count).toBe(Infinity);
  const { names, everything } = changed.take();
  expect(everything).toBe('more keys were changed than are remembered');
  expect(names.size).toBe(0);
});

it('keeps what is changed after that as well', () => {
  const changed = new ChangedKeys();
  changed.noteEverything('because');
  changed.note('a');
  const { names, everything } = changed.take();
  expect([[...names.keys()], everything]).toEqual([['a'], 'because']);
});

it('wakes who waits for a change, and who waits for an end', async () => {
  const changed = new ChangedKeys();
  let isOver = false;
  const some = changed.some(() => isOver);
  changed.note('a');
  await some;
  changed.take();
  const end = changed.some(() => isOver);
  isOver = true;
  changed.wake();
  await end;
});

it('keeps what was given back until its slot is free, and counts it meanwhile', () => {
  const changed = new ChangedKeys();
  for (const [name, slot] of [
    ['a', 1],
    ['b', 1],
    ['c', 2],
  ] as const) {
    changed.giveBack(name, slot, 10 * slot);
  }
  changed.note('d');
  expect([changed.count, changed.heldUpCount, changed.heard]).toEqual([4, 3, 1]);
  const partly = changed.take(holding(1));
  expect([...partly.names.keys()]).toEqual(['d', 'c']);
  expect(partly.sinceMs).toBe(20);
  expect([changed.count, changed.heldUpCount, changed.sinceMs]).toEqual([2, 2, 10]);
  expect(changed.take().names).toEqual(
    new Map([
      ['a', 10],
      ['b', 10],
    ]),
  );
  expect([changed.count, changed.sinceMs]).toEqual([0, undefined]);
});

it('hands out once what was changed and given back, and tells since when it waits', () => {
  const changed = new ChangedKeys();
  changed.giveBack('a', 1, 10);
  changed.giveBack('a', 1, 20);
  changed.note('a');
  expect([...changed.take().names]).toEqual([['a', 10]]);
});

it('leaves what needs all nodes waiting while any of them is sick, and tells since when', () => {
  const changed = new ChangedKeys();
  changed.giveBack('a', 1, 10);
  changed.noteEverything('there was a gap');
  changed.note('b');
  const partly = changed.take(holding(1));
  expect([[...partly.names.keys()], partly.everything, partly.strays]).toEqual([
    ['b'],
    undefined,
    false,
  ]);
  expect([changed.count, changed.sinceMs]).toEqual([Infinity, 10]);
  const all = changed.take();
  expect([all.everything, all.strays, all.sinceMs]).toEqual(['there was a gap', true, 10]);
});

it('remembers no more names that are held up than others', () => {
  const changed = new ChangedKeys();
  changed.note('a');
  for (let at = 0; at < 1_000_000; at++) changed.giveBack(String(at), at % 100, 0);
  expect([changed.count, changed.heldUpCount]).toEqual([Infinity, 0]);
  expect(changed.take(holding(1)).names.size).toBe(0);
  expect(changed.take().everything).toBe('more keys were changed than are remembered');
});
