/** The commands of docs/live.md do what the page says, as they are written there. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { fillMixed } from '../../support/bulk.js';
import { type CliRun, program, runCli, startCli } from '../../support/cli.js';
import { freePort } from '../../support/ports.js';
import { startCluster } from '../../support/cluster.js';
import { startServer, using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { forgetRuns } from '../../support/state.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const shell = promisify(execFile);
let folder = '';
let run: CliRun | undefined;
let consul: HttpServer | undefined;
/** What Consul and kubectl were told. */
let told: string[] = [];
let consulPort = 0;
let metricsPort = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cluster-import-live-'));
  told = [];
  // Neither is there: what matters is what they are told.
  const kubectl = join(folder, 'kubectl');
  writeFileSync(kubectl, `#!/bin/sh\nprintf '%s\\n' "$*" > ${folder}/kubectl.told\n`);
  chmodSync(kubectl, 0o755);
  consul = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      told.push(`${request.method ?? ''} ${request.url ?? ''} ${body}`);
      response.end('true');
    });
  });
  await new Promise<void>((resolve) => consul?.listen(0, '127.0.0.1', resolve));
  consulPort = (consul.address() as AddressInfo).port;
  metricsPort = await freePort();
  await stage.source.client.config('SET', 'min-replicas-to-write', 0);
});
afterEach(async () => {
  await endRun();
  consul?.close();
  await stage.source.client.config('SET', 'min-replicas-to-write', 0);
  rmSync(folder, { recursive: true });
});

const env = () => ({
  XDG_RUNTIME_DIR: folder,
  PATH: [folder, process.env['PATH']].join(delimiter),
  CLUSTER_IMPORT_FROM_PASSWORD: '',
});

async function endRun(): Promise<void> {
  run?.signal('SIGINT');
  await run?.done;
  run = undefined;
}

/** The commands below a heading, in their order. */
function commands(heading: string): readonly string[] {
  const page = readFileSync(new URL('../../../docs/live.md', import.meta.url), 'utf8');
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^((?:cluster-import|redis-cli) .*)$/gm)].map(([, line = '']) =>
    line
      .replaceAll('10.0.0.5:6379', stage.source.address)
      .replaceAll('-h 10.0.0.5', `-p ${String(stage.source.port)}`)
      .replaceAll('10.0.1.1:7000', stage.cluster.seed)
      .replaceAll('127.0.0.1:8500', `127.0.0.1:${String(consulPort)}`)
      .replaceAll('/etc/myapp', folder)
      .replaceAll('--metrics 9121', `--metrics ${String(metricsPort)}`),
  );
}

/** As a shell takes it, with the programs of this machine. */
const asTyped = (line: string): string =>
  line
    .replace(/^cluster-import/, `exec "${process.execPath}" "${program}"`)
    .replace(/^redis-cli/, `exec "${findRedis('redis-cli') ?? ''}"`);

async function typed(line: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
  const child = await shell('sh', ['-c', asTyped(line)], {
    env: { ...process.env, ...env(), ...more },
  });
  return child.stdout;
}

/** Starts what follows, and waits until it does. */
async function follow(line: string, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const [, ...words] = await wordsOf(line);
  run = startCli(words, { ...env(), ...more });
  await run.output(/the cluster follows the source\./);
}

/** The words of a command, as a shell tells them apart. */
async function wordsOf(line: string): Promise<readonly string[]> {
  const { stdout } = await shell('sh', [
    '-c',
    `for word in ${line}; do printf '%s\\0' "$word"; done`,
  ]);
  return stdout.split('\0').slice(0, -1);
}

async function refusesWrites(): Promise<boolean> {
  return stage.source.client.set('late', 'x').then(
    () => false,
    (error: unknown) => String(error).includes('NOREPLICAS Not enough good replicas to write.'),
  );
}

it('names every command that there is below', () => {
  const page = readFileSync(new URL('../../../docs/live.md', import.meta.url), 'utf8');
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, heading = '']) => heading);
  expect(headings.map((heading) => commands(heading).length)).toEqual([
    2, 0, 3, 0, 1, 4, 0, 4, 4, 0, 2, 0, 0, 0,
  ]);
});

it('follows several sources', async () => {
  await using(startServer(), async (other) => {
    await using(startCluster(), async (cluster) => {
      await stage.source.client.set('here', 'x');
      await other.client.set('there', 'x');
      await cluster.clientFor('in the cluster').set('in the cluster', 'x');
      for (const line of commands('Several sources')) {
        const there = line
          .replaceAll('10.0.0.6:6379', other.address)
          .replaceAll('10.0.2.1:7000', cluster.seed);
        await follow(there);
        expect((await runCli(['ctl', 'cutover'], env())).code).toBe(0);
        expect((await run?.done)?.code).toBe(0);
        expect(await stage.cluster.size()).toBe(there.includes(other.address) ? 2 : 1);
        await stage.cluster.flush();
        await stage.source.client.config('SET', 'min-replicas-to-write', 0);
        forgetRuns();
      }
    });
  });
});

it('lets the user of the page follow the source', async () => {
  await fillMixed(stage.source, 600);
  for (const line of commands('Before')) expect(await typed(line)).toBe('OK\n');
  const [line = ''] = commands('Start it');
  await follow(line, { CLUSTER_IMPORT_FROM_PASSWORD: 'secret' });
  const metrics = await (await fetch(`http://127.0.0.1:${String(metricsPort)}/metrics`)).text();
  expect(metrics).toContain('cluster_import_phase{phase="following"} 1');
  expect((await runCli(['ctl', 'cutover'], env())).code).toBe(0);
  expect((await run?.done)?.code).toBe(0);
  expect((await run?.done)?.stderr).not.toContain('WARNING');
  expect(await refusesWrites()).toBe(true);
});

it('tells how it stands, and is compared meanwhile', async () => {
  await fillMixed(stage.source, 600);
  const [start = '', status = '', json = '', verify = ''] = commands('While it runs');
  await follow(start);
  expect(await typed(status)).toMatch(/^following · 0 changed keys wait · lag 0 ms · /m);
  expect(JSON.parse(await typed(json))).toMatchObject({ follow: { phase: 'following' } });
  expect(await typed(verify)).toContain('Equal');
});

it('cuts over by hand', async () => {
  await fillMixed(stage.source, 600);
  const [start = '', status = '', cutover = '', verify = ''] = commands('The cutover by hand');
  await follow(start);
  expect(await typed(status)).toContain('a cutover would hold writes for about');
  expect(await typed(cutover)).toMatch(/^cut-over · writes were held for \d+ ms$/m);
  expect((await run?.done)?.code).toBe(0);
  expect(await refusesWrites()).toBe(true);
  expect(await typed(verify)).toContain('Equal');
});

it('cuts over by each of the commands', async () => {
  const lines = commands('The cutover by a command');
  const cutover = lines.at(-1) ?? '';
  const hasCurl = await shell('sh', ['-c', 'command -v curl']).then(
    () => true,
    () => false,
  );
  for (const line of lines.slice(0, -1)) {
    if (line.includes('curl ') && !hasCurl) continue;
    await Promise.all([stage.source.client.flushall(), stage.cluster.flush()]);
    await fillMixed(stage.source, 600);
    await follow(line);
    expect(await typed(cutover)).toContain('cut-over');
    expect((await run?.done)?.code).toBe(0);
    await stage.source.client.config('SET', 'min-replicas-to-write', 0);
  }
  const { seed } = stage.cluster;
  expect(readFileSync(join(folder, 'redis-address'), 'utf8')).toBe(`${seed}\n`);
  if (hasCurl) expect(told).toEqual([`PUT /v1/kv/myapp/redis-address ${seed}`]);
  expect(readFileSync(join(folder, 'kubectl.told'), 'utf8')).toBe(
    `patch configmap myapp --patch {"data":{"redis-address":"${seed}"}}\n`,
  );
});

it('goes back', async () => {
  await fillMixed(stage.source, 600);
  const [release = '', letWrite = ''] = commands('Going back');
  const follows = commands('While it runs')[0] ?? '';
  await follow(`${follows} --on-cutover 'sleep 60' --max-hold 1m`);
  const cutover = runCli(['ctl', 'cutover'], env());
  await waitFor('writes to be held', async () =>
    (await runCli(['ctl'], env())).stdout.includes('\nholding · '),
  );
  await typed(release);
  const { code, stderr } = await cutover;
  expect(code).toBe(2);
  expect(stderr).toContain('No cutover: ');
  await endRun();
  await stage.cluster.flush();
  await follow(`${follows} --cutover auto`);
  expect((await run?.done)?.code).toBe(0);
  expect(await refusesWrites()).toBe(true);
  expect(await typed(letWrite)).toBe('OK\n');
  expect(await refusesWrites()).toBe(false);
});
