/** Watching a run from outside: its endpoints, its log, and what is left to see of it at its end. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Live } from '../../../src/watch/live.js';
import { runCli, startCli } from '../../support/cli.js';
import { holdRun } from '../../support/held-run.js';
import { freePort } from '../../support/ports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const password = 'not-for-logs';
const stage = setStage({ source: { config: [`requirepass ${password}`] } });
const secret = { CLUSTER_IMPORT_FROM_PASSWORD: password };

beforeEach(async () => {
  const pairs = Array.from({ length: 2000 }, (_, nth) => [`key:${String(nth)}`, 'v']).flat();
  await stage.source.client.mset(...pairs);
});

const json = async (url: string): Promise<unknown> => (await fetch(url)).json();

describe('the endpoints', () => {
  it('show the run from its middle to its end, and linger', async () => {
    const words = ['--json', '--log-level', 'info', '--metrics-linger', '600'];
    const held = await holdRun(stage, { words, env: secret });
    try {
      expect(await (await fetch(`${held.url}/healthz`)).text()).toBe('ok\n');
      expect(await json(`${held.url}/report.json`)).toMatchObject({
        status: 'running',
        from: [`${held.proxy.address}/0`],
        to: stage.cluster.seed,
      });
      const live = await waitFor('a course', async () => {
        const now = (await json(`${held.url}/live.json`)) as Live;
        return now.course.atMs.length > 0 && now;
      });
      expect(live.progress).toBeLessThan(1);
      held.release();
      // The report is out at once; the metrics stay until the signal.
      await held.run.output(/"status":"complete"/);
      expect(await json(`${held.url}/report.json`)).toMatchObject({
        status: 'complete',
        keys: { moved: 2000 },
      });
      const text = await (await fetch(`${held.url}/metrics`)).text();
      expect(text).toContain('cluster_import_run_status{status="complete"} 1');
      expect(text).toContain('cluster_import_progress_ratio 1');
      held.run.signal('SIGINT');
      const { code, stdout, stderr } = await held.run.done;
      expect(code).toBe(0);
      expect(() => JSON.parse(stdout) as unknown).not.toThrow();
      expect(stderr).not.toContain('Stopping');
      await expect(fetch(held.url)).rejects.toThrow();
    } finally {
      await held.stop();
    }
  });

  it('do not linger after a signal that stopped the run', async () => {
    const held = await holdRun(stage, { words: ['--metrics-linger', '600'], env: secret });
    try {
      held.run.signal('SIGINT');
      await held.run.output(/once more to stop at once/);
      held.release();
      expect((await held.run.done).code).toBe(130);
    } finally {
      await held.stop();
    }
  });
});

describe('the log', () => {
  it('is JSON lines and nothing else, tells start and end, and neither keys nor secrets', async () => {
    const words = [...stage.endpoints, '--log-format', 'json', '--json'];
    const { code, stdout, stderr } = await runCli(words, secret);
    expect(code).toBe(0);
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
    expect(lines[0]).toMatchObject({ level: 'info', mode: 'move', node: process.version });
    expect(lines.at(-1)).toMatchObject({ msg: 'the run ended: complete', moved: 2000 });
    expect(lines.map(({ msg }) => msg)).toContain('a pass over the source ended');
    expect(stderr + stdout).not.toMatch(/key:\d|not-for-logs/);
  });

  it('names keys at the level debug, and failures without them at others', async () => {
    await stage.cluster.clientFor('key:7').set('key:7', 'other');
    const words = [...stage.endpoints, '--copy', '--no-replace', '--quiet'];
    const usual = await runCli(words, secret);
    expect(usual.code).toBe(1);
    expect(usual.stderr).toMatch(/^\d\d:\d\d:\d\d WARNING: keys are left behind/);
    expect(usual.stderr).not.toContain('key:7');
    const all = await runCli([...words, '--log-level', 'debug'], secret);
    expect(all.stderr).toMatch(/debug: a key is left behind {2}key=key:7/);
    expect(all.stderr).not.toContain(password);
  });

  it('says errors in its own format too', async () => {
    const { code, stdout, stderr } = await runCli([...stage.endpoints, '--log-format', 'json']);
    expect([code, stdout]).toEqual([2, '']);
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error', exitCode: 2 });
  });

  it('tells of a lost source, and of its return', async () => {
    const held = await holdRun(stage, { words: ['--log-format', 'json'], env: secret });
    try {
      held.proxy.cut();
      held.release();
      await held.run.output(/connected to \S+ again/);
      const { code, stderr } = await held.run.done;
      expect(code).toBe(0);
      expect(stderr.match(/"msg":"lost 127/g)?.length).toBeGreaterThanOrEqual(1);
    } finally {
      await held.stop();
    }
  });
});

interface LogLine {
  readonly level: string;
  readonly msg: string;
}

describe('the push', () => {
  it('sends the final state once, under the source it came from', async () => {
    const pushed: { method: string | undefined; url: string | undefined; body: string }[] = [];
    const gateway = createServer(({ method, url }, response) => {
      response.req.setEncoding('utf8');
      let body = '';
      response.req.on('data', (text: string) => (body += text));
      response.req.on('end', () => {
        pushed.push({ method, url, body });
        response.end();
      });
    });
    await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
    const { port } = gateway.address() as AddressInfo;
    try {
      const to = `http://127.0.0.1:${String(port)}`;
      expect((await runCli([...stage.endpoints, '--quiet', '--push', to], secret)).code).toBe(0);
    } finally {
      gateway.close();
    }
    const instance = encodeURIComponent(stage.source.address);
    expect(pushed).toHaveLength(1);
    expect(pushed[0]).toMatchObject({
      method: 'PUT',
      url: `/metrics/job/cluster_import/instance/${instance}/db/0`,
    });
    expect(pushed[0]?.body).toContain('cluster_import_keys_total{outcome="moved"} 2000');
  });

  it('only warns when nobody is there', async () => {
    const to = `http://127.0.0.1:${String(await freePort())}`;
    const run = startCli([...stage.endpoints, '--quiet', '--push', to], secret);
    const { code, stderr } = await run.done;
    expect(code).toBe(0);
    expect(stderr).toMatch(/WARNING: --push: the metrics could not be pushed/);
  });

  it('goes to a web address or is refused', async () => {
    const { code, stderr } = await runCli([...stage.endpoints, '--push', 'localhost:9091']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--push must be a web address/);
  });
});
