/** The files that are written from the table of verbs. */
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { verbs } from '../../src/cli/verbs.js';
import { version } from '../../src/installed.js';
import { manPage } from './man-page.js';
import { optionsPage } from './options-page.js';

interface Reference {
  readonly path: string;
  readonly text: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

export async function references(): Promise<readonly Reference[]> {
  const page = `${root}docs/options.md`;
  const config = await resolveConfig(page);
  return [
    {
      path: page,
      text: await format(optionsPage(verbs), { ...config, parser: 'markdown' }),
    },
    { path: `${root}man/cluster-import.1`, text: manPage(verbs, version) },
  ];
}
