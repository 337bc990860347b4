import { expect, it } from 'vitest';
import { nearest } from '../../../src/options/rows.js';

const words = ['assess', 'verify', 'check', 'ctl'];

it.each([
  ['asses', 'assess'],
  ['VERIFY', 'verify'],
  ['chekc', 'check'],
  ['clt', undefined],
  ['import', undefined],
  ['', undefined],
])('takes %s for %s', (typed, meant) => {
  expect(nearest(typed, words)).toBe(meant);
});
