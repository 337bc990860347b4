/**
 * `npm run release -- 0.2.0`: a release, but for what only its owners may do. docs/releasing.md says what
 * that is, and in which order.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { released } from './changelog.mjs';
import { replaceFile } from './replace-file.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const [version = '', ...others] = process.argv.slice(2);
const isTrial = others.includes('--trial');

/**
 * @param {string} program @param {readonly string[]} words
 * @returns what it printed, where that is read.
 */
function run(program, words, { isRead = false } = {}) {
  const stdio = isRead ? /** @type {const} */ ('pipe') : /** @type {const} */ ('inherit');
  const output = execFileSync(program, words, { cwd: root, encoding: 'utf8', stdio });
  return isRead ? output.trim() : '';
}

/** @param {string} path @param {(text: string) => string} change */
function edit(path, change) {
  replaceFile(`${root}${path}`, change(readFileSync(`${root}${path}`, 'utf8')));
}

try {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
    throw new Error('give the version: npm run release -- 0.2.0');
  }
  if (run('git', ['status', '--porcelain'], { isRead: true }) !== '') {
    throw new Error('commit what has changed first');
  }
  if (run('git', ['tag', '--list', `v${version}`], { isRead: true }) !== '') {
    throw new Error(`there is a tag v${version} already`);
  }
  const [date = ''] = new Date().toISOString().split('T');
  edit('CHANGELOG.md', (text) => released(text, version, date));
  run('npm', ['version', version, '--no-git-tag-version', '--allow-same-version']);
  run('npm', ['run', 'reference']);
  // The names of files in the pages have the version in them.
  edit('docs/getting-started.md', (text) =>
    text.replaceAll(/cluster-import-[\d.]+\.tgz/g, `cluster-import-${version}.tgz`),
  );
  if (isTrial) {
    console.log('A trial ends here: look with "git diff", and undo it with "git checkout .".');
  } else {
    run('npm', ['test']);
    run('npm', ['pack']);
    run('npm', ['run', 'executable']);
    const executable = `cluster-import-${version}-${process.platform}-${process.arch}`;
    renameSync(`${root}dist/cluster-import`, `${root}${executable}`);
    run('git', ['commit', '--all', '--message', `Release ${version}`]);
    run('git', ['tag', '--annotate', `v${version}`, '--message', version]);
    console.log(
      `Committed and tagged, and cluster-import-${version}.tgz and ${executable} are made. What is left: docs/releasing.md, "Publishing".`,
    );
  }
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
