/** The pages that people read, taken apart. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../', import.meta.url));

export interface Block {
  /** What stands behind the fence: `sh`, `sh example`. */
  readonly info: string;
  readonly text: string;
}

/** Paths from the root. */
export function pages(): readonly string[] {
  const docs = readdirSync(`${root}docs`).filter((name) => name.endsWith('.md'));
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs.map((name) => `docs/${name}`)];
}

export function readPage(path: string): string {
  return readFileSync(`${root}${path}`, 'utf8');
}

/** The fenced blocks of a page, those in lists as well. */
export function blocksOf(page: string): readonly Block[] {
  return [...page.matchAll(/^( *)```(.*)\n([^]*?)^\1```$/gm)].map(
    ([, indent = '', info = '', text = '']) => ({
      info: info.trim(),
      text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  );
}

/** The page without what is shown as it is typed. */
export function proseOf(page: string): string {
  return page.replaceAll(/^( *)```.*\n[^]*?^\1```$/gm, '').replaceAll(/`[^`\n]*`/g, '``');
}
