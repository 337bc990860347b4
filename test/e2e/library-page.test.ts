/** The examples of docs/library.md compile against the types that are published, and do what they say. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { fillMixed } from '../support/bulk.js';
import { setStage } from '../support/stage.js';

const stage = setStage();
const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

it('compiles and runs every example of the page', async () => {
  const page = await readFile(`${root}docs/library.md`, 'utf8');
  const examples = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = '']) =>
    code
      .replaceAll('10.0.0.5:6379', stage.source.address)
      .replaceAll('10.0.1.1:7000', stage.cluster.seed),
  );
  expect(examples).toHaveLength(5);
  // Within the package, which finds itself by its name.
  await mkdir(`${root}.cache`, { recursive: true });
  const folder = await mkdtemp(`${root}.cache/examples-`);
  try {
    const files = examples.map((_, at) => `${folder}/${String(at)}.mts`);
    await Promise.all(files.map((file, at) => writeFile(file, examples[at] ?? '')));
    const compiled = await run(process.execPath, [
      `${root}node_modules/typescript/bin/tsc`,
      ...['--ignoreConfig', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck'],
      ...[
        '--target',
        'es2023',
        '--module',
        'nodenext',
        '--types',
        'node',
        '--typeRoots',
        `${root}node_modules/@types`,
      ],
      ...files,
    ]).catch((error: unknown) => error as { readonly stdout: string });
    expect(compiled.stdout).toBe('');
    const said: string[] = [];
    for (const file of files) {
      // A cutover leaves it refusing writes.
      await stage.source.client.config('SET', 'min-replicas-to-write', 0);
      await Promise.all([stage.source.client.flushall(), stage.cluster.flush()]);
      await fillMixed(stage.source, 600);
      const { stdout, stderr } = await run(process.execPath, [file.replace('.mts', '.mjs')]);
      said.push(stdout + stderr);
      if (said.length <= 2) expect(await stage.source.client.dbsize()).toBe(0);
    }
    expect(said[0]).toBe('');
    expect(said[1]).toMatch(/^complete 600$/m);
    expect(said[2]).toMatch(/^complete refuses writes$/m);
    // Nothing was moved: all is missing there.
    expect(said[3]).toMatch(/^different /m);
    expect(said[4]).toMatch(/^a check failed: /);
  } finally {
    await rm(folder, { recursive: true });
  }
});
