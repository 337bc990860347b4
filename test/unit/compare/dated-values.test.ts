/** Deadlines and values that come in turn find their keys, however their bytes arrive. */
import { expect, it } from 'vitest';
import {
  datedReader,
  isThere,
  type Values,
  valuesReader,
} from '../../../src/compare/held-values.js';

const long = 'x'.repeat(5000);
const answers = [
  ':-1\r\n$1\r\na\r\n',
  ':60000\r\n$-1\r\n',
  `:-2\r\n$5000\r\n${long}\r\n`,
  '-NOPERM no PTTL\r\n$0\r\n\r\n',
  ':5\r\n-NOPERM no GET\r\n',
  ':7\r\n$2\r\n:8\r\n',
];

it.each([1, 2, 3, 7, 100, 100_000])('reads both in turn, in chunks of %i bytes', (step) => {
  const bytes = Buffer.from(answers.join(''), 'latin1');
  let values: Values | undefined;
  let ttls: Float64Array | undefined;
  const inner = valuesReader(
    answers.length,
    'separate',
    0,
    (all) => (values = all),
    () => undefined,
  );
  const reader = datedReader(
    answers.length,
    inner,
    (all) => (ttls = all),
    () => undefined,
  );
  let at = 0;
  // What a reader leaves is offered again with more behind it.
  for (let end = 0; !reader.done; end = Math.min(bytes.length, end + step)) {
    at = reader.take(bytes, at, end);
  }
  expect(at).toBe(bytes.length);
  expect([...(ttls ?? [])]).toEqual([-1, 60_000, -2, NaN, 5, 7]);
  expect([...(values?.lengths ?? [])]).toEqual([1, -1, 5000, 0, -2, 2]);
  expect(values && isThere(values, 4)).toBe(false);
  expect([...(values?.refusals ?? [])]).toEqual([[4, 'NOPERM no GET']]);
});

it('fails both with the connection', () => {
  const failed: string[] = [];
  const inner = valuesReader(
    1,
    'separate',
    0,
    () => undefined,
    () => failed.push('values'),
  );
  datedReader(
    1,
    inner,
    () => undefined,
    () => failed.push('deadlines'),
  ).fail(new Error('lost'));
  expect(failed.toSorted()).toEqual(['deadlines', 'values']);
});
