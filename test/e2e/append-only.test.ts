/** Append-only files as sources: what their commands did arrives, and nothing stays behind. */
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findRedis } from '../../scripts/find-redis.mjs';
import { fillStrings } from '../support/bulk.js';
import { runCli, startCli } from '../support/cli.js';
import { type Snapshot, snapshot } from '../support/compare.js';
import { fillEveryType } from '../support/every-type.js';
import { setFolder } from '../support/folder.js';
import { runJson } from '../support/reports.js';
import { type Server, startServer, using } from '../support/servers.js';
import { setStage } from '../support/stage.js';
import { waitFor } from '../support/wait.js';

const stage = setStage();
const path = setFolder();
const server = ['--redis-server', findRedis('redis-server') ?? ''];
const startWriting = (): Promise<Server> =>
  startServer({ config: ['appendonly yes', 'aof-use-rdb-preamble yes', 'save ""'] });

/** The commands since the start, as one file. */
function commandsOf({ directory }: Server): string {
  const folder = join(directory, 'appendonlydir');
  const name = readdirSync(folder).find((file) => file.endsWith('.incr.aof')) ?? '';
  const copy = path('appendonly.aof');
  cpSync(join(folder, name), copy);
  return copy;
}

const to = (): string[] => ['--to', stage.cluster.seed, ...server];

it('imports aof-1 … aof-3 of masters that are gone', async () => {
  const files: string[] = [];
  const all = new Map<string, Snapshot extends ReadonlyMap<string, infer T> ? T : never>();
  for (const nth of [1, 2, 3]) {
    await using(startWriting(), async (master) => {
      const { client } = master;
      await client.set(`before:${String(nth)}`, 'x');
      // Over slots, which no node of a cluster would do.
      await client.rename(`before:${String(nth)}`, `after:${String(nth)}`);
      await client.sadd(`one:${String(nth)}`, 'a');
      await client.sadd(`other:${String(nth)}`, 'b');
      await client.sunionstore(`both:${String(nth)}`, `one:${String(nth)}`, `other:${String(nth)}`);
      await client
        .multi()
        .incr(`n:${String(nth)}`)
        .incr(`n:${String(nth)}`)
        .exec();
      for (const [key, contents] of await snapshot(client)) all.set(key, contents);
      files.push(commandsOf(master));
    });
  }
  const before = files.map((file) => readFileSync(file));
  const { code, report } = await runJson([...files.flatMap((file) => ['--from', file]), ...to()]);
  expect(code).toBe(0);
  expect(report.from).toEqual(files);
  expect(report.keys.moved).toBe(15);
  expect(await stage.missingIn(all)).toEqual([]);
  expect(files.map((file) => readFileSync(file))).toEqual(before);
});

it('imports a folder with a manifest, and reads one that is only a dump as one', async () => {
  await using(startWriting(), async ({ client, directory }) => {
    await fillEveryType(client);
    await client.bgrewriteaof();
    await waitFor('the rewriting', async () => {
      const info = await client.info('persistence');
      return /aof_rewrite_in_progress:0/.test(info) && /aof_rewrite_scheduled:0/.test(info);
    });
    const rewritten = path('appendonlydir');
    mkdirSync(rewritten);
    cpSync(join(directory, 'appendonlydir'), rewritten, { recursive: true });
    const before = await snapshot(client);
    const first = await runJson(['--from', rewritten, ...to()]);
    expect(first.report).toMatchObject({ status: 'complete', mover: 'restore', from: [rewritten] });
    expect(await stage.missingIn(before)).toEqual([]);

    await client.set('added', 'later');
    await stage.cluster.flush();
    const added = path('appendonlydir');
    cpSync(join(directory, 'appendonlydir'), added, { recursive: true });
    const second = await runJson(['--from', added, ...to()]);
    expect(second.report).toMatchObject({ status: 'complete', from: [added] });
    expect(await stage.missingIn(await snapshot(client))).toEqual([]);
  });
});

it('says that the last command is cut off, and imports the others', async () => {
  await using(startWriting(), async (master) => {
    await master.client.mset('a', '1', 'b', '2');
    await master.client.set('c', '3');
    const file = commandsOf(master);
    truncateSync(file, statSync(file).size - 3);
    const { code, report } = await runJson(['--from', file, ...to()]);
    expect(code).toBe(0);
    expect(report.keys.moved).toBe(2);
    expect(report.warnings?.join()).toContain(`${file} is cut off`);
  });
});

it('needs a server for it, and says so', async () => {
  await using(startWriting(), async (master) => {
    await master.client.set('a', '1');
    const file = commandsOf(master);
    const args = ['--from', file, '--to', stage.cluster.seed];
    const { code, stderr } = await runCli(args, { PATH: '' });
    expect(code).toBe(2);
    expect(stderr).toContain('name one in --redis-server');
  });
});

it('leaves no server and no files behind, also when it is killed', async () => {
  await using(startWriting(), async (master) => {
    await fillStrings(master, { count: 50_000, valueBytes: 64 });
    const file = commandsOf(master);
    const TMPDIR = path('tmp');
    mkdirSync(TMPDIR);
    const run = startCli(['--from', file, '--max-rate', '1000', '--metrics', '0', ...to()], {
      TMPDIR,
    });
    await run.output(/Metrics/);
    expect(readdirSync(TMPDIR)).toHaveLength(1);
    run.signal('SIGKILL');
    await run.done;
    await waitFor('the folder to vanish', () => readdirSync(TMPDIR).length === 0);
  });
});
