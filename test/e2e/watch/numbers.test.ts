/**
 * The numbers of a real run whose pace changes: whatever shows it says the same, and what it says is right. The
 * limit sets the rate, so that it is the same on any machine; each condition is waited for.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type State, tell } from '../../../src/watch/run-sockets.js';
import { fillStrings } from '../../support/bulk.js';
import { type CliRun, runCli, startCli } from '../../support/cli.js';
import { setFolder } from '../../support/folder.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const newPath = setFolder();
const keys = 60_000;
let proxy: Proxy;
let run: CliRun;
let runtime: string;
let socket: string;
let url: string;

beforeEach(async () => {
  await fillStrings(stage.source, { count: keys, valueBytes: 16 });
  proxy = await startProxy(stage.source);
  runtime = newPath('runtime');
  const words = ['--from', proxy.address, '--to', stage.cluster.seed, '--mover', 'relay'];
  const limits = ['--max-rate', '1000', '--timeout', '10m', '--metrics', '0'];
  run = startCli([...words, ...limits, '--log-level', 'debug'], { XDG_RUNTIME_DIR: runtime });
  [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
  [, socket = ''] = await run.output(/finds the run.*socket=(\S+)/);
});
afterEach(async () => {
  run.signal('SIGKILL');
  await run.done;
  await proxy.stop();
});

const state = (): Promise<State> => tell(socket, {});
const ctl = (...words: string[]) =>
  runCli(['ctl', '--socket', socket, ...words], { XDG_RUNTIME_DIR: runtime });

/** Waits until rate and time left are those of so many keys a second. */
async function showsRate(rate: number): Promise<State> {
  return waitFor(`${String(rate)} keys a second`, async () => {
    const now = await state();
    const leftMs = ((keys - now.report.keys.moved) / rate) * 1000;
    const isRight = Math.abs(now.keysPerSecond - rate) < rate * 0.1;
    return isRight && Math.abs((now.leftMs ?? 0) - leftMs) < leftMs * 0.2 && now;
  });
}

describe('rate and time left', () => {
  it('follow a limit, a pause and a stall, and are the same wherever they stand', async () => {
    await showsRate(1000);
    await ctl('--rate', '2000');
    await showsRate(2000);

    await ctl('pause');
    const paused = await waitFor('the pause', async () => {
      const now = await state();
      return now.paused && now.keysPerSecond === 0 && now;
    });
    expect(paused).toMatchObject({ leftMs: null, stalled: null });
    await ctl('resume');
    await showsRate(2000);

    proxy.stall();
    const stalled = await waitFor('a stall', async () => {
      const now = await state();
      return now.stalled !== null && now;
    });
    expect(stalled).toMatchObject({ leftMs: null, keysPerSecond: 0 });
    expect(stalled.stalled?.waitingFor).toEqual([`${proxy.address}/0`]);
    expect(stalled.sources[0]?.health.state).toBe('slow');
    expect((await ctl()).stdout).toMatch(/stalled for [^:]+: waiting for 127\.0\.0\.1:\d+\/0/);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toMatch(/^cluster_import_stalled_seconds [\d.]*[1-9]/m);
    expect(text).toMatch(/^cluster_import_eta_seconds Nan$/m);
    expect(text).toMatch(/^cluster_import_server_state\{server="[^"]+",state="slow"\} 1$/m);
    proxy.resume();
    await showsRate(2000);

    await ctl('--rate', 'none');
    const { code, stdout } = await run.done;
    expect(code).toBe(0);
    expect(stdout).toContain('accounted    60,000 of 60,000 keys');
    expect(stdout).toMatch(/source {7}0 keys now \(60,000 at the first start\)/);
    expect(stdout).toContain(`cluster-import check --to ${stage.cluster.seed}`);
  });
});
