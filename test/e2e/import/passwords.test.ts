/** Passwords on both sides, each its own, by every way there is, to both movers. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { program, runCli } from '../../support/cli.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer } from '../../support/servers.js';

// In redis.conf, quotes and backslashes need one more backslash.
const here = `pä ss"w'rd\\%41 #`;
const there = `%s {ñ} "quoted" $HOME`;
const quoted = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;

let source: Server;
let cluster: TestCluster;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cluster-import-passwords-'));
  [source, cluster] = await Promise.all([startServer(), startCluster()]);
  await source.client.config('SET', 'requirepass', here);
  for (const { client } of cluster.masters) await client.config('SET', 'requirepass', there);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([source.stop(), cluster.stop()]);
});
beforeEach(async () => {
  await Promise.all([source.client.flushall(), cluster.flush()]);
  await source.client.mset('one', '1', 'two', '2', 'three', '3');
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const endpoints = () => ['--from', source.address, '--to', cluster.seed];

async function expectMoved(args: readonly string[], env = {}): Promise<void> {
  const { code, report, stderr } = await runJson(args, env);
  expect(code).toBe(0);
  expect(report.keys.moved).toBe(3);
  expect(await source.client.dbsize()).toBe(0);
  expect(await cluster.clientFor('two').get('two')).toBe('2');
  for (const secret of [here, there]) expect(JSON.stringify(report) + stderr).not.toContain(secret);
}

it.each(['relay', 'migrate'])('by the environment, with --mover %s', async (mover) => {
  const env = { CLUSTER_IMPORT_FROM_PASSWORD: here, CLUSTER_IMPORT_TO_PASSWORD: there };
  await expectMoved([...endpoints(), '--mover', mover], env);
});

it('by files, which go before the environment', async () => {
  const files = [
    ...['--from-password-file', file('here', `${here}\n`)],
    ...['--to-password-file', file('there', there)],
  ];
  await expectMoved([...endpoints(), ...files], { CLUSTER_IMPORT_FROM_PASSWORD: 'another' });
});

it('by the endpoints', async () => {
  const login = (password: string, address: string) =>
    `redis://:${encodeURIComponent(password)}@${address}`;
  await expectMoved(['--from', login(here, source.address), '--to', login(there, cluster.seed)]);
});

it('one for the other is refused, and so is a file that is not there', async () => {
  const env = { CLUSTER_IMPORT_FROM_PASSWORD: here, CLUSTER_IMPORT_TO_PASSWORD: here };
  const refused = await runCli(endpoints(), env);
  expect(refused.stderr).toMatch(/refuses the password.*--to/);
  const unread = await runCli([...endpoints(), '--to-password-file', join(folder, 'none')], env);
  expect(unread.stderr).toMatch(/--to-password-file can't be read/);
  expect([refused.code, unread.code]).toEqual([2, 2]);
});

it('asked for on a terminal without showing them', async (context) => {
  // util-linux' script gives a program a terminal; others of that name take other options.
  const about = spawnSync('script', ['--version'], { encoding: 'utf8' });
  if (!(about.stdout as string | null)?.includes('util-linux')) context.skip();
  const words = [process.execPath, program, ...endpoints(), '--ask-password', '--quiet'];
  const child = spawn('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null']);
  let screen = '';
  const answers = new Map([
    ['(--from): ', here],
    ['(--to): ', there],
  ]);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    for (const [question, answer] of answers) {
      if (!screen.includes(question)) continue;
      answers.delete(question);
      child.stdin.write(`${answer}\r`);
    }
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(screen).toMatch(/Complete/);
  expect(code).toBe(0);
  expect(screen).not.toContain('ss"w');
  expect(screen).not.toContain('quoted');
  expect(await source.client.dbsize()).toBe(0);
});

it('in a redis.conf, as its own file would have them', async () => {
  const locked = await startServer({ config: [`requirepass ${quoted(here)}`] });
  try {
    const args = ['--from', locked.address, '--to', cluster.seed];
    const env = { CLUSTER_IMPORT_FROM_PASSWORD: here, CLUSTER_IMPORT_TO_PASSWORD: there };
    expect((await runJson(args, env)).code).toBe(0);
  } finally {
    await locked.stop();
  }
});
