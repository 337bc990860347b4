/** Steering a run while it lasts: pausing, limits, and who may speak to it. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Live } from '../../../src/watch/live.js';
import { type State, tell } from '../../../src/watch/run-sockets.js';
import { fillStrings } from '../../support/bulk.js';
import { type CliRun, runCli, startCli } from '../../support/cli.js';
import { startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const keys = 20_000;
const started: CliRun[] = [];
let runtime = '';

beforeEach(async () => {
  runtime = mkdtempSync(join(tmpdir(), 'cluster-import-run-'));
  await fillStrings(stage.source, { count: keys, valueBytes: 16 });
});

afterEach(async () => {
  for (const run of started) run.signal('SIGKILL');
  await Promise.all(started.splice(0).map((run) => run.done));
  rmSync(runtime, { recursive: true });
});

const env = () => ({ XDG_RUNTIME_DIR: runtime });
const ctl = (...words: string[]) => runCli(['ctl', ...words], env());
const sockets = () => {
  const folder = join(runtime, 'cluster-import');
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
};

interface Up {
  readonly run: CliRun;
  readonly socket: string;
}

/** A run that would take an hour, unless it is steered. */
async function startRun(words: readonly string[] = [], from = stage.source.address): Promise<Up> {
  const endpoints = ['--from', from, '--to', stage.cluster.seed, '--mover', 'relay'];
  const run = startCli([...endpoints, '--max-rate', '5', '--json', ...words], env());
  started.push(run);
  const end = `.${String(run.pid)}.sock`;
  const socket = await waitFor('its socket', () => sockets().find((path) => path.endsWith(end)));
  await waitFor('an answer', () => tell(socket, {}));
  return { run, socket };
}

describe('the socket of a run', () => {
  it('is named after the run, for its user alone, and goes with it', async () => {
    const { run, socket } = await startRun();
    expect(socket).toContain(`127.0.0.1_${String(stage.source.port)}`);
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700);
    run.signal('SIGINT');
    expect((await run.done).code).toBe(130);
    expect(sockets()).toEqual([]);
  });

  it('is cleared away after a kill, and not before', async () => {
    const [killed, other] = [await startRun(), await startRun(['--copy', '--no-replace'])];
    killed.run.signal('SIGKILL');
    await killed.run.done;
    expect(sockets()).toHaveLength(2);
    const { stdout } = await ctl('list');
    expect(stdout.match(/pid/g)).toHaveLength(1);
    expect(sockets()).toEqual([other.socket]);
  });

  it('is in the state folder where there is no other', async () => {
    const run = startCli([...stage.endpoints, '--max-rate', '5'], {
      XDG_RUNTIME_DIR: '',
      XDG_STATE_HOME: runtime,
    });
    started.push(run);
    const folder = join(runtime, 'cluster-import', 'run');
    await waitFor('its socket', () => existsSync(folder) && readdirSync(folder).length === 1);
    const { code } = await runCli(['ctl'], { XDG_RUNTIME_DIR: '', XDG_STATE_HOME: runtime });
    expect(code).toBe(0);
  });

  it('refuses in one sentence what is no order', async () => {
    const { socket } = await startRun();
    const refused = (orders: unknown) => tell(socket, orders as never);
    await expect(refused(['pause'])).rejects.toThrow('Orders are one JSON object on one line.');
    await expect(refused({ rate: 'fast' })).rejects.toThrow('--rate must be from 1 to');
    await expect(refused({ halt: true })).rejects.toThrow('There is no option named halt.');
  });
});

describe('a pause', () => {
  const movedAt = async (socket: string) => (await tell(socket, {})).report.keys.moved;

  /**
   * Asks until what was under way is where it belongs, and nothing has moved since for a while in which
   * much would have.
   */
  async function standsStill(socket: string): Promise<number> {
    await waitFor('nothing to be under way', async () => {
      const moved = await movedAt(socket);
      const [left, arrived] = [await stage.source.client.dbsize(), await stage.cluster.size()];
      return left === keys - moved && arrived === moved && (await movedAt(socket)) === moved;
    });
    let [moved, same] = [-1, 0];
    await waitFor('a standstill', async () => {
      const now = await movedAt(socket);
      same = now === moved ? same + 1 : 0;
      moved = now;
      return same === 100;
    });
    return moved;
  }

  it('is told by everything that shows the run, and ends', async () => {
    const { run, socket } = await startRun(['--metrics', '0', '--max-rate', '100']);
    const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
    await waitFor('some keys', async () => (await movedAt(socket)) > 0);
    const { code, stdout } = await ctl('pause');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^paused · \d/m);
    const moved = await standsStill(socket);
    expect(moved).toBeLessThan(keys);
    expect((await stage.source.client.dbsize()) + (await stage.cluster.size())).toBe(keys);
    const live = await waitFor('the rate to be that of now', async () => {
      const now = (await (await fetch(`${url}/live.json`)).json()) as Live;
      return now.keysPerSecond === 0 && now;
    });
    expect(live).toMatchObject({ paused: true, leftMs: null });
    expect(live.report.status).toBe('running');
    const metrics = async () => (await fetch(`${url}/metrics`)).text();
    expect(await metrics()).toContain('cluster_import_paused 1');
    expect((await ctl('resume')).stdout).toMatch(/^running · /m);
    expect(await metrics()).toContain('cluster_import_paused 0');
    await waitFor('more keys', async () => (await movedAt(socket)) > moved);
    expect((await ctl('--rate', 'none')).code).toBe(0);
    const done = await run.done;
    expect(done.code).toBe(0);
    expect(done.stderr).toMatch(
      /Paused; SIGUSR2 or `cluster-import ctl resume` goes on\.\n[^]*Going on\./,
    );
    expect(await stage.cluster.size()).toBe(keys);
  });

  it('begins and ends with SIGUSR2 as well', async () => {
    const { run, socket } = await startRun(['--max-rate', '100']);
    run.signal('SIGUSR2');
    await waitFor('a pause', async () => (await tell(socket, {})).paused);
    await standsStill(socket);
    run.signal('SIGUSR2');
    await waitFor('its end', async () => !(await tell(socket, {})).paused);
    await ctl('--rate', 'none');
    expect((await run.done).code).toBe(0);
  });

  it('may be asked for before the run has begun', async () => {
    const proxy = await startProxy(stage.source);
    try {
      proxy.stall();
      const words = ['--from', proxy.address, '--to', stage.cluster.seed, '--mover', 'relay'];
      const run = startCli(words, env());
      started.push(run);
      await waitFor('a question', () => proxy.connections > 0);
      run.signal('SIGUSR2');
      await run.output(/It will be paused as soon as it has begun\./);
      proxy.resume();
      await run.output(/Paused; SIGUSR2/);
      expect((await ctl()).stdout).toMatch(/^paused · 0\.0 % · 0 of [\d,]+ keys/m);
      await ctl('resume');
      expect((await run.done).code).toBe(0);
    } finally {
      await proxy.stop();
    }
  });

  it('is refused where the run has ended, and only its metrics are up', async () => {
    const { run, socket } = await startRun(['--metrics', '0', '--metrics-linger', '600']);
    await ctl('--rate', 'none');
    await waitFor('its end', async () => (await tell(socket, {})).report.status === 'complete');
    for (const words of [['pause'], ['--rate', '5']]) {
      const { code, stderr } = await ctl(...words);
      expect(code).toBe(2);
      expect(stderr).toMatch(
        /^cluster-import: The run has ended, and only its metrics are still up/,
      );
    }
    run.signal('SIGUSR2');
    await run.output(/The run has ended, and only/);
    expect((await ctl()).stdout).toMatch(/^complete · 100\.0 %/m);
    run.signal('SIGINT');
    expect((await run.done).code).toBe(0);
  });

  it('holds the import of a file too, which has no clients to wait', async () => {
    await stage.source.client.call('SAVE');
    const { socket } = await startRun([], join(stage.source.directory, 'dump.rdb'));
    expect((await ctl('pause')).stdout).toMatch(
      /^copying .*dump\.rdb → .* by restore .*\npaused · /,
    );
    expect((await tell(socket, {})).latencyMs).toBeNull();
    const { code, stderr } = await ctl('--max-source-latency', '5');
    expect(code).toBe(2);
    expect(stderr).toMatch(/The run reads files, .*--max-source-latency is for servers\./);
  });

  it('does not keep a run from being stopped by ctl', async () => {
    const { run } = await startRun();
    await ctl('pause');
    expect((await ctl('stop')).code).toBe(0);
    const { code, stdout, stderr } = await run.done;
    expect(code).toBe(130);
    expect(stderr).toContain('Stopping after the batches in flight (`ctl stop`).');
    expect(JSON.parse(stdout)).toMatchObject({ status: 'interrupted' });
  });

  it('does not keep a run from being stopped', async () => {
    const { run } = await startRun();
    await ctl('pause');
    run.signal('SIGINT');
    expect((await run.done).code).toBe(130);
  });
});

describe('the limits', () => {
  const state = async (...words: string[]): Promise<State> =>
    JSON.parse((await ctl('--json', ...words)).stdout) as State;

  it('are set, told and lifted one by one', async () => {
    const { run } = await startRun();
    expect((await state()).limits).toMatchObject({ keysPerSecond: 5, bytesPerSecond: null });
    const slow = await state('--rate', '10', '--bandwidth', '20mb');
    expect(slow.limits).toMatchObject({ keysPerSecond: 10, bytesPerSecond: 20 * 1024 ** 2 });
    const careful = await state('--bandwidth', '0', '--max-source-latency', '5');
    expect(careful.limits).toMatchObject({
      keysPerSecond: 10,
      bytesPerSecond: null,
      sourceLatencyMs: 5,
    });
    expect(careful.limits.allowedKeys).toBeGreaterThan(0);
    expect((await ctl()).stdout).toMatch(/^limits: 10 keys\/s · source latency 5 ms \(\d/m);
    const lifted = await state('--max-source-latency', 'none', '--rate', 'none');
    expect(Object.values(lifted.limits)).toEqual([null, null, null, null, null]);
    expect((await run.done).code).toBe(0);
  });

  it('are refused in one sentence where they are none', async () => {
    await startRun();
    for (const words of [
      ['--rate', 'fast'],
      ['--bandwidth', '-1'],
      ['--max-source-latency', 'x'],
    ]) {
      const { code, stderr } = await ctl(...words);
      expect(code).toBe(2);
      expect(stderr).toMatch(
        new RegExp(`^cluster-import: ${words[0] ?? ''} must be from .*\\.\n$`),
      );
    }
  });
});

it('a second run that takes keys from the same source is told of the first', async () => {
  const { run } = await startRun();
  const words = [...stage.endpoints, '--copy', '--no-replace', '--quiet'];
  const { stderr } = await runCli(words, env());
  expect(stderr).toContain(
    `Another run (pid ${String(run.pid)}) takes keys from ${stage.source.address}/0 too`,
  );
});

describe('which run is meant', () => {
  it('must be said where there are several', async () => {
    await stage.source.client.select(1);
    const pairs = Array.from({ length: 100 }, (_, nth) => [`other:${String(nth)}`, 'v']).flat();
    await stage.source.client.mset(...pairs);
    await stage.source.client.select(0);
    const [one] = [
      await startRun(),
      await startRun(['--copy', '--no-replace', '--max-rate', '1'], `${stage.source.address}/1`),
    ];
    const { code, stderr } = await ctl('pause');
    expect(code).toBe(2);
    expect(stderr).toMatch(/Several runs are up, choose one of them: --pid \d+: .* --pid \d+: /);
    const pid = String(one.run.pid);
    const paused = await ctl('pause', '--pid', pid);
    expect(paused.stdout).toMatch(new RegExp(`\\(pid ${pid}\\)\npaused`));
    expect((await tell(one.socket, {})).paused).toBe(true);
    expect((await ctl('resume', '--socket', one.socket)).stdout).toMatch(/^running/m);
  });

  it('is none where none is up, or nobody listens', async () => {
    const none = await ctl();
    expect([none.code, none.stdout]).toEqual([2, '']);
    expect(none.stderr).toMatch(/^cluster-import: No run of yours is up on this machine: .*\.\n$/);
    expect((await ctl('list')).stdout).toBe('No run is up.\n');
    expect((await ctl('--pid', '1')).stderr).toMatch(
      /No run of yours has the pid 1 on this machine/,
    );
    const nobody = await ctl('--socket', join(runtime, 'nobody.sock'));
    expect(nobody.stderr).toMatch(/^cluster-import: No run answers at .*\.\n$/);
    expect((await ctl('halt')).stderr).toMatch(/ctl takes one of .*, and not "halt"\./);
  });
});

describe('limits', () => {
  it('hold for bytes from the very first value on', async () => {
    await stage.source.client.flushall();
    await fillStrings(stage.source, { count: 600, valueBytes: 16_384 });
    const words = ['--mover', 'relay', '--max-bandwidth', '5mb'];
    const { code, report } = await runJson([...stage.endpoints, ...words]);
    expect([code, report.keys.moved]).toEqual([0, 600]);
    // What is in flight at the end may be ahead of its time by a piece or two.
    expect(report.durationMs).toBeGreaterThan((0.9 * 600 * 16_384 * 1000) / 5_000_000);
  });
});
