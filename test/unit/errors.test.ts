import { expect, it } from 'vitest';
import { errorOf, messageOf, UsageError } from '../../src/errors.js';

it.each([
  [new UsageError('--to is missing.'), '--to is missing.'],
  ['a text', 'a text'],
  [undefined, 'undefined'],
])('anything that is thrown has words, and can be an error: %s', (thrown, words) => {
  expect(messageOf(thrown)).toBe(words);
  expect(errorOf(thrown)).toBeInstanceOf(Error);
  expect(errorOf(thrown).message).toBe(words);
});

it('an error stays the one that it is', () => {
  const error = new UsageError('--to is missing.');
  expect(errorOf(error)).toBe(error);
});
