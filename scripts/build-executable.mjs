/**
 * `npm run executable`: dist/cluster-import, the command and Node in one file, for machines without Node
 * (https://nodejs.org/docs/latest-v20.x/api/single-executable-applications.html). It is made from the Node that
 * runs this, so it fits machines of the same kind.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { inject } from 'postject';
import { bundling, withRequire } from './bundling.mjs';
import { replaceFile } from './replace-file.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
/** Where Node looks for what is in the file with it, and the mark by which it knows that there is something. */
const resource = 'NODE_SEA_BLOB';
const sentinelFuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** @type {import('esbuild').Plugin} */
const embedded = {
  name: 'embedded',
  setup(bundling) {
    bundling.onResolve({ filter: /\/installed\.js$/ }, () => ({
      path: join(dist, 'executable/embedded.js'),
    }));
  },
};

const work = mkdtempSync(join(tmpdir(), 'cluster-import-executable-'));
try {
  if (process.platform !== 'linux') throw new Error('it can be made on Linux only');
  const main = join(work, 'main.js');
  const probeWorker = join(work, 'probe-worker.js');
  await build({
    ...bundling,
    entryPoints: [join(dist, 'executable/main.js')],
    outfile: main,
    format: 'cjs',
    plugins: [embedded],
  });
  await build({
    ...bundling,
    entryPoints: [join(dist, 'watch/probe-worker.js')],
    outfile: probeWorker,
    format: 'esm',
    // The thread has no file of its own: what it asks for is Node's.
    banner: withRequire("'/'"),
  });
  const blob = join(work, 'blob');
  const config = join(work, 'sea.json');
  writeFileSync(
    config,
    JSON.stringify({
      main,
      output: blob,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      assets: {
        'package.json': join(root, 'package.json'),
        'page.html': join(dist, 'page.html'),
        'probe-worker.js': probeWorker,
      },
    }),
  );
  execFileSync(process.execPath, ['--experimental-sea-config', config], {
    stdio: ['ignore', 2, 2],
  });
  const executable = join(work, 'cluster-import');
  copyFileSync(process.execPath, executable);
  chmodSync(executable, 0o755);
  await inject(executable, resource, readFileSync(blob), { sentinelFuse });
  replaceFile(join(dist, 'cluster-import'), readFileSync(executable), { mode: 0o755 });
  console.log('dist/cluster-import');
} catch (error) {
  console.error(`executable: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true });
}
