/** The scripts of completion: bash completes by it, and the others read it, where they are installed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { completionFor, shells } from '../../../src/cli/completion.js';
import { groupsOf } from '../../../src/cli/verb.js';
import { verbs } from '../../../src/cli/verbs.js';

const [completion] = verbs.slice(-1);
const others = verbs.filter((verb) => verb !== completion);
const folder = mkdtempSync(join(tmpdir(), 'cluster-import-completion-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const isInstalled = (program: string): boolean =>
  spawnSync(program, ['-c', ':']).error === undefined;

function scriptFor(shell: (typeof shells)[number]): string {
  const file = join(folder, shell);
  writeFileSync(file, completionFor(shell, others));
  return file;
}

describe.each(shells)('for %s', (shell) => {
  it('knows every verb and flag', () => {
    const script = completionFor(shell, others);
    for (const { name } of verbs) expect(script).toContain(name);
    const flags = others.flatMap(groupsOf).flatMap((group) => group.flags);
    const typed = flags.map(({ name }) => (shell === 'fish' ? `-l ${name.slice(2)}` : name));
    expect(typed.filter((flag) => !script.includes(flag))).toEqual([]);
  });
});

it.each(shells.filter(isInstalled))('is a script that %s can read', (shell) => {
  expect(spawnSync(shell, ['-n', scriptFor(shell)], { encoding: 'utf8' })).toMatchObject({
    status: 0,
    stderr: '',
  });
});

it.each(['bash'].filter(isInstalled))('completes what is typed in %s', (bash) => {
  const script = scriptFor('bash');
  const typing =
    'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _cluster_import; ' +
    `printf '%s\\n' "\${COMPREPLY[@]}"`;
  const complete = (...words: readonly string[]): readonly string[] =>
    execFileSync(bash, ['-c', typing, '-', script, 'cluster-import', ...words], {
      encoding: 'utf8',
    })
      .trim()
      .split('\n');
  expect(complete('ver')).toEqual(['verify']);
  expect(complete('--from-c')).toEqual(['--from-cluster']);
  expect(complete('--from', 'a:1', '--mover', '')).toEqual(['auto', 'relay', 'migrate']);
  expect(complete('ctl', 're')).toEqual(['resume', 'release']);
  expect(complete('verify', '--max-r')).toEqual(['']);
  expect(complete('completion', 'f')).toEqual(['fish']);
  expect(complete('--report', script.slice(0, -2))).toEqual([script]);
});
