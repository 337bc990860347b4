/** docs/architecture.md names files that there are. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('names files and rooms that there are', () => {
  const page = readFileSync(`${root}docs/architecture.md`, 'utf8');
  const named = [...page.matchAll(/`([\w./-]+(?:\.ts|\/))`/g)].map(([, path = '']) => path);
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((path) => !existsSync(`${root}src/${path}`) && path !== 'src/')).toEqual([]);
});
