/** What is written from the table of verbs is up to date, and has every flag. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { references } from '../../../scripts/reference/references.js';
import { verbs } from '../../../src/cli/verbs.js';

it.each(await references())('$path is as `npm run reference` writes it', ({ path, text }) => {
  expect(readFileSync(path, 'utf8')).toBe(text);
});

describe.each(verbs)('the help of $name', ({ rows, groups }) => {
  it('has each option in one group', () => {
    const named = groups.flatMap(({ names }) => names).filter((name) => rows[name]?.flag);
    const all = Object.entries(rows).filter(([, row]) => row.flag !== undefined);
    expect(named.toSorted()).toEqual(all.map(([name]) => name).toSorted());
  });
});
