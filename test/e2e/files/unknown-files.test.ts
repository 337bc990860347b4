/** Files that can't be read are refused before the start: one sentence, no report, no journal. */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { program, runCli } from '../../support/cli.js';
import { setFolder } from '../../support/folder.js';
import { saveTo } from '../../support/rdb.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const path = setFolder();

const neither = /is neither a dump \(RDB\) nor an append-only file\.$/;
const files: readonly (readonly [string, string | Buffer, RegExp])[] = [
  ['text', 'root:x:0:0:root:/root:/bin/bash\n', neither],
  ['nothing', '', neither],
  [
    'random bytes',
    Buffer.from(Array.from({ length: 2000 }, (_, at) => (at * 7919) % 251)),
    neither,
  ],
  ['half a header', 'REDIS00', neither],
  [
    'a newer version',
    'REDIS0099',
    /of version 99, and 12 is the newest that is known: .*--from\.$/,
  ],
  ['no version', 'REDIS0000', /of version 0/],
  ['no version of Valkey', 'VALKEY079', /of version 79 of Valkey, and 80 is the newest/],
];

it.each(files)('a file: %s', async (_, content, sentence) => {
  const name = path('some.rdb');
  const packed = path('some.rdb.gz');
  const journal = path('journal');
  writeFileSync(name, content);
  writeFileSync(packed, gzipSync(content));
  await stage.cluster.clientFor('key').set('key', 'of the cluster');
  for (const file of [name, packed]) {
    const args = ['--from', file, '--to', stage.cluster.seed, '--state', journal];
    for (const more of [[], ['--damaged', '--json']]) {
      const { code, stdout, stderr } = await runCli([...args, ...more]);
      expect(stderr.trim()).toMatch(sentence);
      expect(stderr).toContain(`--from ${file} is`);
      expect(stderr.trim().split('\n')).toHaveLength(1);
      if (more.includes('--json')) expectRefusal(stdout, stderr);
      else expect(stdout).toBe('');
      expect(code).toBe(2);
    }
  }
  expect([journal, `${journal}.lock`].filter(existsSync)).toEqual([]);
  expect(await stage.cluster.size()).toBe(1);
});

/** What programs read is the sentence that people read. */
function expectRefusal(stdout: string, stderr: string): void {
  const { status, error } = JSON.parse(stdout) as {
    readonly status: string;
    readonly error: string;
  };
  expect(status).toBe('refused');
  expect(stderr.trim()).toBe(`cluster-import: ${error}`);
}

/** Runs with these bytes on standard input. */
async function runPiped(content: string | Buffer, ...args: readonly string[]) {
  const words = [program, '--from', '-', '--to', stage.cluster.seed, ...args];
  const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(content);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...said };
}

it.each(files)('standard input: %s', async (_, content, sentence) => {
  const { code, stdout, stderr } = await runPiped(content, '--quiet', '--json');
  expect(stderr.trim()).toMatch(sentence);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expectRefusal(stdout, stderr);
  expect(code).toBe(2);
  expect(await stage.cluster.size()).toBe(0);
});

it('tells of an append-only file that is packed or piped', async () => {
  const commands = '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n';
  const { code, stderr } = await runPiped(commands, '--quiet');
  expect(stderr).toMatch(/is an append-only file, which can be read only as a plain file/);
  expect(code).toBe(2);
});

it('keeps what others of several sources have brought', async () => {
  await stage.source.client.set('key', 'value');
  const file = await saveTo(path('dump.rdb'), stage.source);
  await stage.source.client.flushall();
  const good = ['--from', file];
  const { code, stdout, stderr } = await runPiped('text', ...good, '--quiet', '--json');
  // Whichever was faster: the sentence is said, and nothing is called moved that is not there.
  expect(stdout + stderr).toMatch(/neither a dump \(RDB\) nor an append-only file/);
  expect([2, 3]).toContain(code);
  const report = JSON.parse(stdout) as { keys?: { moved: number } };
  expect(await stage.cluster.size()).toBe(report.keys?.moved ?? 0);
});
