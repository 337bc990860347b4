/**
 * Puts what is published into few files: Node takes longer to find and open hundreds of modules than most
 * commands take to run (`--version` takes half the time by it), and a program sees of the library what it
 * can use and nothing of what that is made of.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';
import { bundling, withRequire } from './bundling.mjs';
import { replaceFile } from './replace-file.mjs';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));

/** @type {import('esbuild').BuildOptions & { readonly write: false }} */
const common = {
  ...bundling,
  write: false,
  format: 'esm',
  // Who puts jobs into a queue has it installed.
  external: ['bullmq'],
};

/**
 * With all packages in it.
 * @type {typeof common}
 */
const whole = {
  ...common,
  banner: withRequire('import.meta.url'),
};

/**
 * @param {string} from @param {string} to
 * @param {typeof common} options
 */
async function bundle(from, to, options) {
  const { outputFiles } = await build({ ...options, entryPoints: [`${dist}${from}`] });
  for (const { contents } of outputFiles) replaceFile(`${dist}${to}`, contents);
}

/**
 * One declaration file; the types of other packages stay imports.
 * @param {string} from @param {string} to
 */
async function bundleTypes(from, to) {
  const types = await rollup({
    input: `${dist}${from}`,
    plugins: [dts()],
    external: /^(node:|url$)/,
  });
  const { output } = await types.generate({ format: 'es' });
  await types.close();
  replaceFile(`${dist}${to}`, output[0].code);
}

await bundle('cli.js', 'cli.bundle.js', whole);
await bundle('workers/job-process.js', 'job-process.bundle.js', whole);
await bundle('watch/probe-worker.js', 'probe-worker.bundle.js', whole);
await bundle('index.js', 'library.js', { ...common, packages: 'external' });
await bundleTypes('index.d.ts', 'library.d.ts');
