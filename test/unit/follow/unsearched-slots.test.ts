import { expect, it } from 'vitest';
import { UnsearchedSlots } from '../../../src/follow/source-slots.js';

/** Slots 0 and 1 are a's, 2 and 3 are b's. */
function searched() {
  const slots = new UnsearchedSlots<'a' | 'b'>();
  slots.learn(['a', 'a', 'b', 'b']);
  return slots;
}

it('has each owner search its slots', () => {
  const slots = searched();
  const search = slots.begin('a');
  expect([...search.slots]).toEqual([0, 1]);
  expect(slots.isDone).toBe(false);
  slots.end('a', search);
  expect([slots.isDone, ...slots.owners]).toEqual([true]);
});

it('has a slot searched by its new owner that moved while its old one searched', () => {
  const slots = searched();
  const search = slots.begin('a');
  slots.learn(['a', 'b', 'b', 'b']);
  slots.end('a', search);
  expect([...slots.owners]).toEqual(['b']);
  const another = slots.begin('b');
  expect([...another.slots]).toEqual([1, 2, 3]);
  slots.end('b', another);
  expect(slots.isDone).toBe(true);
  // What a had before was searched behind its time.
  const again = slots.begin('a');
  expect([...again.slots]).toEqual([0]);
  slots.end('a', again);
  expect(slots.isDone).toBe(true);
});

it('has a slot searched that moved before its old owner was known to have missed something', () => {
  const slots = searched();
  slots.learn(['a', 'b', 'b', 'b']);
  slots.end('a', slots.begin('a'));
  expect([...slots.owners]).toEqual(['b']);
});

it('remembers a slot of nobody until it has an owner again', () => {
  const slots = searched();
  slots.learn(['a', undefined, 'b', 'b']);
  slots.end('a', slots.begin('a'));
  expect([slots.isDone, ...slots.owners]).toEqual([false]);
  slots.learn(['a', 'a', 'b', 'b']);
  expect([...slots.owners]).toEqual(['a']);
});

it('leaves those alone who search already', () => {
  const slots = searched();
  const searches = [slots.begin('a'), slots.begin('b')] as const;
  slots.end('a', searches[0]);
  expect([slots.isDone, ...slots.owners]).toEqual([false]);
  slots.end('b', searches[1]);
  expect(slots.isDone).toBe(true);
});
