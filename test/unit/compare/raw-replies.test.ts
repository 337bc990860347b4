/** Replies are held as they came, however their bytes arrive, and rows are found in whatever order. */
import { expect, it } from 'vitest';
import {
  areAlike,
  haveSameRows,
  isFull,
  type RawReplies,
  rawReader,
  replyAt,
} from '../../../src/compare/raw-replies.js';
import { command } from '../../../src/redis/frames.js';
import { ErrorReply } from '../../../src/redis/reply.js';

/** As a server would answer, each piece of the answer in a chunk of `step` bytes. */
function read(answers: readonly string[], step = 1000): RawReplies {
  const bytes = Buffer.from(answers.join(''), 'latin1');
  let replies: RawReplies | undefined;
  const reader = rawReader(
    answers.length,
    (all) => (replies = all),
    () => undefined,
  );
  // What a reader leaves is offered again with more behind it.
  for (let at = 0, end = 0; !reader.done; end = Math.min(bytes.length, end + step)) {
    at = reader.take(bytes, at, end);
  }
  if (!replies) throw new Error('nothing was read');
  return replies;
}

const array = (...words: readonly string[]): string => command(...words).toString('latin1');
const answers = [
  array('a', 'b'),
  '*0\r\n',
  '*-1\r\n',
  '-WRONGTYPE no\r\n',
  '*2\r\n*2\r\n$3\r\n1-1\r\n*-1\r\n:5\r\n',
  '$-1\r\n',
  '$0\r\n\r\n',
  '+OK\r\n',
  array('x'.repeat(5000)),
];

it.each([1, 2, 3, 7, 100, 100_000])('holds replies, in chunks of %i bytes', (step) => {
  const one = read(answers, step);
  const held = answers.map((_, at) =>
    one.bytes.toString('latin1', one.starts[at], one.starts[at + 1]),
  );
  expect(held).toEqual(answers);
  const full = answers.map((_, at) => isFull(one, at));
  expect(full).toEqual([true, false, false, false, true, false, true, false, true]);
  expect(replyAt(one, 0)).toEqual([Buffer.from('a'), Buffer.from('b')]);
  expect(replyAt(one, 3)).toBeInstanceOf(ErrorReply);
  expect(replyAt(one, 4)).toEqual([[Buffer.from('1-1'), null], 5]);
});

it('tells replies apart', () => {
  const one = read([array('a', 'b'), array('a', 'b'), array('ab')]);
  const other = read([array('a', 'b'), array('b', 'a'), array('a', 'b')]);
  expect([0, 1, 2].map((place) => areAlike(one, other, place))).toEqual([true, false, false]);
});

it('holds no more than it may, and takes nothing for equal that it did not hold', () => {
  const large = array('x'.repeat(3 * 1024 * 1024));
  const some = [array('a'), large, large, array('b')];
  const [one, other] = [read(some, 100_000), read(some, 64)];
  expect(one.bytes.length).toBeLessThan(4.1 * 1024 * 1024);
  const places = [0, 1, 2, 3];
  expect(places.map((place) => isFull(one, place))).toEqual([true, true, false, false]);
  expect(places.map((place) => areAlike(one, other, place))).toEqual([true, true, false, false]);
  expect(places.map((place) => haveSameRows(one, other, place, 1))).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(replyAt(one, 2)).toBeNull();
});

const many = Array.from({ length: 200 }, (_, at) => String(at));

it.each([
  ['in the same order', ['a', '1', 'b', '2'], ['a', '1', 'b', '2'], 2, true],
  ['in another order', ['a', '1', 'b', '2'], ['b', '2', 'a', '1'], 2, true],
  ['with values swapped', ['a', '1', 'b', '2'], ['a', '2', 'b', '1'], 2, false],
  ['cut elsewhere', ['a', '1', 'b', '2'], ['1', 'a', '2', 'b'], 2, false],
  ['with one instead of another', ['a', 'b', 'c'], ['c', 'a', 'd'], 1, false],
  ['with one more', ['a', 'b'], ['b', 'a', 'c'], 1, false],
  ['with one less', ['a', 'b', 'c'], ['b', 'a'], 1, false],
  ['many in another order', many, [...many].reverse(), 1, true],
  ['many with one instead of another', many, [...many.slice(1), '1000'].reverse(), 1, false],
  ['many values swapped', many, ['0', '3', '2', '1', ...many.slice(4)], 2, false],
] as const)('compares rows %s', (_, ours, theirs, width, isSame) => {
  const [one, other] = [read(['*0\r\n', array(...ours)]), read([array('x'), array(...theirs)])];
  expect(haveSameRows(one, other, 1, width)).toBe(isSame);
});

it('takes what is no array of bulk strings for different', () => {
  const odd = ['-ERR no\r\n', '*1\r\n:1\r\n', '*1\r\n$-1\r\n', array('a', 'b', 'c')];
  const [one, other] = [read(odd), read(odd)];
  expect(odd.map((_, place) => haveSameRows(one, other, place, 2))).toEqual(odd.map(() => false));
});
