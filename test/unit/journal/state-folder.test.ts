import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { makeFolder, replaceFile } from '../../../src/journal/state-folder.js';
import { setFolder } from '../../support/folder.js';
import { waitFor } from '../../support/wait.js';

const path = setFolder();
const module = fileURLToPath(new URL('../../../src/journal/state-folder.js', import.meta.url));

it('makes files and folders that only their owner can read', async () => {
  const file = path('folder/state.json');
  await makeFolder(file);
  await replaceFile(file, 'text');
  expect(readFileSync(file, 'utf8')).toBe('text');
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

/** Replaces a file with growing and shrinking ones, each of a single letter, until it is killed. */
function startWriter(file: string): ChildProcess {
  const script = `
    import { replaceFile } from ${JSON.stringify(module)};
    for (let at = 0; ; at++) {
      const letter = String.fromCharCode(97 + (at % 26));
      await replaceFile(${JSON.stringify(file)}, letter.repeat(1e6 * (1 + (at % 3))) + '.');
    }`;
  return spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script]);
}

it('leaves a whole file, whenever its writer is killed', async () => {
  const file = path('state.json');
  for (let kill = 0; kill < 3; kill++) {
    const before = existsSync(file) ? statSync(file).ino : 0;
    const writer = startWriter(file);
    // Killed when it has written some, at whatever it is doing then.
    await waitFor('a new file', () => existsSync(file) && statSync(file).ino !== before);
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    const text = readFileSync(file, 'utf8');
    expect(text.length % 1e6).toBe(1);
    expect(text).toMatch(/^(.)\1*\.$/);
  }
}, 60_000);
