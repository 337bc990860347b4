/**
 * Puts the compiled command line and what it imports into one file, because Node takes longer to find
 * and open hundreds of modules than most commands take to run: `--version` takes half the time by it.
 * The library stays as tsc left it.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { replaceFile } from './replace-file.mjs';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));

const { outputFiles } = await build({
  entryPoints: [`${dist}cli.js`],
  bundle: true,
  write: false,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  legalComments: 'inline',
  // Packages of the older kind ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);",
  },
});
for (const { contents } of outputFiles) replaceFile(`${dist}cli.bundle.js`, contents);
