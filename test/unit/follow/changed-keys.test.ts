import { expect, it } from 'vitest';
import { ChangedKeys } from '../../../src/follow/changed-keys.js';

it('holds each changed key once, and counts each change', () => {
  const changed = new ChangedKeys();
  for (const name of ['a', 'b', 'a']) changed.note(name);
  expect([changed.count, changed.heard]).toEqual([2, 3]);
  const taken = changed.take();
  expect([...taken.names]).toEqual(['a', 'b']);
  expect(taken.everything).toBeUndefined();
  expect(changed.count).toBe(0);
});

it('lets a key that is changed after the taking wait again', () => {
  const changed = new ChangedKeys();
  changed.note('a');
  changed.take();
  changed.note('a');
  expect([...changed.take().names]).toEqual(['a']);
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
  expect([[...names], everything]).toEqual([['a'], 'because']);
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
