/** Links lead somewhere, each page can be found, and each command is run by a test or is an example. */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blocksOf, pages, proseOf, readPage, root } from './pages.js';

/** Their commands have tests of their own, in test/e2e/docs. */
const withOwnTest = new Set(['docs/moving.md', 'docs/live.md']);

interface Link {
  readonly path: string;
  readonly anchor: string;
}

function linksOf(page: string): readonly Link[] {
  return [...proseOf(readPage(page)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor = ''] = target.split('#');
      return { path: file === '' ? page : normalize(join(dirname(page), file)), anchor };
    });
}

/** The names that GitHub gives to headings. */
function anchorsOf(page: string): readonly string[] {
  const text = readPage(page).replaceAll(/^( *)```.*\n[^]*?^\1```$/gm, '');
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(pages())('%s', (page) => {
  it('links to what is there', () => {
    const broken = linksOf(page).filter(
      ({ path, anchor }) =>
        !existsSync(`${root}${path}`) ||
        (anchor !== '' && !(path.endsWith('.md') && anchorsOf(path).includes(anchor))),
    );
    expect(broken).toEqual([]);
  });

  it('marks commands that no test runs as examples', () => {
    if (withOwnTest.has(page)) return;
    const unmarked = blocksOf(readPage(page)).filter(
      ({ info, text }) =>
        !/^(sh|ts)\b/.test(info) && /^(cluster-import|redis-cli|npm|node|docker) /m.test(text),
    );
    expect(unmarked).toEqual([]);
  });
});

it('leads to every page from the README', () => {
  const linked = new Set(linksOf('README.md').map(({ path }) => path));
  expect(pages().filter((page) => page !== 'README.md' && !linked.has(page))).toEqual([]);
});

it('has a README that can be read in one go', () => {
  expect(readPage('README.md').split('\n').length).toBeLessThanOrEqual(151);
});
