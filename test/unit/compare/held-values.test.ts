/** Values are compared rightly however their bytes arrive. */
import { expect, it } from 'vitest';
import { command } from '../../../src/redis/frames.js';
import { isSame, isThere, type Values, valuesReader } from '../../../src/compare/held-values.js';

/** As a server would answer, each piece of the answer in a chunk of `step` bytes. */
function read(answers: readonly string[], cut: number, step: number): Values {
  const bytes = Buffer.from(answers.join(''), 'latin1');
  let read: Values | undefined;
  const reader = valuesReader(
    answers.length,
    'separate',
    cut,
    (values) => (read = values),
    () => undefined,
  );
  // What a reader leaves is offered again with more behind it.
  for (let at = 0, end = 0; !reader.done; end = Math.min(bytes.length, end + step)) {
    at = reader.take(bytes, at, end);
  }
  if (!read) throw new Error('nothing was read');
  return read;
}

const bulk = (text: string): string => command(text).toString('latin1').replace('*1\r\n', '');
const nil = '$-1\r\n';
const long = 'x'.repeat(5000);

it.each([1, 3, 7, 100, 100_000])('tells values apart, in chunks of %i bytes', (step) => {
  const one = read([bulk('a'), bulk('b'), bulk(''), nil, bulk(long), bulk(`${long}a`)], 0, step);
  const other = read([bulk('a'), bulk('c'), bulk(''), nil, bulk(long), bulk(`${long}b`)], 0, 64);
  const same = [0, 1, 2, 3, 4, 5].map((place) => isSame(one, place, other, place));
  expect(same).toEqual([true, false, true, false, true, false]);
  expect(isThere(one, 3)).toBe(false);
});

it.each([1, 4, 1000])('leaves the end of payloads out, in chunks of %i bytes', (step) => {
  const one = read([bulk('value0123456789'), bulk(`${long}0123456789`), bulk('short')], 10, step);
  const other = read([bulk('valueabcdefghij'), bulk(`${long}abcdefghij`), bulk('other')], 10, 64);
  expect([0, 1].map((place) => isSame(one, place, other, place))).toEqual([true, true]);
  const third = read([bulk('valufabcdefghij'), bulk(`${long.slice(1)}yabcdefghij`), nil], 10, step);
  expect([0, 1, 2].map((place) => isSame(one, place, third, place))).toEqual([false, false, false]);
});

it('keeps what servers refuse', () => {
  const values = read(['-WRONGTYPE no string\r\n', bulk('a'), '-MOVED 1 a:1\r\n'], 0, 5);
  expect([...values.refusals]).toEqual([
    [0, 'WRONGTYPE no string'],
    [2, 'MOVED 1 a:1'],
  ]);
  expect(isSame(values, 1, values, 1)).toBe(true);
  expect(isSame(values, 0, values, 0)).toBe(false);
});
