/** What is published: packed, installed into an empty folder, and used from there. */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { setStage } from '../support/stage.js';
import { expectWatchedMove } from '../support/watched-move.js';
import { proseOf } from '../unit/docs/pages.js';

const stage = setStage();
const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
let folder = '';
let installed = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cluster-import-package-'));
  installed = join(folder, 'node_modules/cluster-import');
  // What it depends on comes from here, so that no network is needed.
  const { stdout } = await run('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root });
  for (const path of stdout.trim().split('\n').slice(1)) {
    const target = join(folder, path.slice(path.indexOf('node_modules')));
    mkdirSync(dirname(target), { recursive: true });
    cpSync(path, target, { recursive: true, dereference: true });
  }
  const packing = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder];
  const packed = await run('npm', packing, { cwd: root });
  const file = join(folder, packed.stdout.trim());
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--prefix', folder, file], {
    cwd: folder,
  });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

it('holds what runs and what is read, and nothing else', () => {
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
  const isExpected =
    /^(bin|dist|docs|man|bench|bench\/results|package\.json|LICENSE|[A-Z]+\.md|bin\/cluster-import\.js|dist\/(cli\.bundle|job-process\.bundle|probe-worker\.bundle|library)\.js|dist\/library\.d\.ts|dist\/page\.html|docs\/[\w-]+\.(md|svg|png)|man\/cluster-import\.1|bench\/results\/.*)$/;
  expect(files.filter((file) => !isExpected.test(file))).toEqual([]);
  const pages = files.filter((file) => file.endsWith('.md'));
  expect(pages.length).toBeGreaterThan(20);
  const broken = pages.flatMap((page) =>
    [...proseOf(readFileSync(join(installed, page), 'utf8')).matchAll(/\]\(([^)#\s]+)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !existsSync(join(installed, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  expect(broken).toEqual([]);
});

it('moves data, and serves the page meanwhile', async () => {
  const program = join(folder, 'node_modules/.bin/cluster-import');
  await expectWatchedMove(stage, (words) => run(program, [...words], { cwd: folder }));
});

it('is a library', async () => {
  const words =
    "import { importKeys, version } from 'cluster-import'; console.log(version, typeof importKeys);";
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', words], {
    cwd: folder,
  });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+ function\n$/);
});
