/** `npm run build`: everything that dist/ holds. tsc remembers there what it has built already. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = `${root}node_modules/typescript/bin/tsc`;

try {
  // Standard output belongs to whoever asked for it.
  execFileSync(process.execPath, [tsc], { cwd: root, stdio: ['ignore', 2, 2] });
  removeLeftovers();
  await import('./build-bundles.mjs');
  await import('./build-page.mjs');
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

/** tsc leaves what it has made of files that are gone by now, and whoever loads that would never notice. */
function removeLeftovers() {
  for (const name of readdirSync(`${root}dist`, { recursive: true, encoding: 'utf8' })) {
    // Only what tsc has made has a map beside it.
    const [, module] = /^(.*)\.js\.map$/.exec(name) ?? [];
    if (module === undefined || existsSync(`${root}src/${module}.ts`)) continue;
    for (const end of ['.js', '.js.map', '.d.ts']) {
      rmSync(`${root}dist/${module}${end}`, { force: true });
    }
  }
}
