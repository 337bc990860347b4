/**
 * Makes the page that shows a run out of page/: its script with the chart library and its style are
 * put into one HTML file, dist/page.html, so that nothing is loaded from anywhere else.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { replaceFile } from './replace-file.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * @param {string} entry
 * @param {string} element whose end must not stand inside
 */
async function bundle(entry, element) {
  const { outputFiles } = await build({
    entryPoints: [`${root}page/${entry}`],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    legalComments: 'inline',
    tsconfig: `${root}page/tsconfig.json`,
  });
  const text = outputFiles[0]?.text ?? '';
  return text.replaceAll(`</${element}`, `<\\/${element}`);
}

const [script, style] = await Promise.all([
  bundle('main.ts', 'script'),
  bundle('style.css', 'style'),
]);
const page = readFileSync(`${root}page/index.html`, 'utf8')
  .replace('<style></style>', () => `<style>${style}</style>`)
  .replace('<script></script>', () => `<script>${script}</script>`);
replaceFile(`${root}dist/page.html`, page);
