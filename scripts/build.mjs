/** `npm run build`: everything that dist/ holds. tsc remembers there what it has built already. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = `${root}node_modules/typescript/bin/tsc`;

try {
  // Standard output belongs to whoever asked for it.
  execFileSync(process.execPath, [tsc], { cwd: root, stdio: ['ignore', 2, 2] });
  await import('./build-bundles.mjs');
  await import('./build-page.mjs');
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
