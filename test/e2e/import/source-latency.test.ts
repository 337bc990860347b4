/** What the source's clients feel: how it is measured, and that a run keeps below the limit. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Live } from '../../../src/watch/live.js';
import { type Probe, startProbe } from '../../../src/watch/probe.js';
import { parseEndpoint } from '../../../src/redis/endpoint.js';
import type { Report } from '../../../src/report.js';
import { othersIn } from '../../../src/redis/other-clients.js';
import { fillStrings } from '../../support/bulk.js';
import { startCli } from '../../support/cli.js';
import { startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();

/** Runs for so long, and does nothing: a client that is a burden to all the others. */
const busyScript = `local from = redis.call('TIME')
repeat
  local now = redis.call('TIME')
until (now[1] - from[1]) * 1000000 + now[2] - from[2] > tonumber(ARGV[1])`;

describe('the probe', () => {
  let probe: Probe | undefined;
  afterEach(() => {
    probe?.stop();
  });

  /** Waits of the source as they are told. */
  async function probing(timeoutMs = 10_000): Promise<number[]> {
    const seen: number[] = [];
    const endpoint = parseEndpoint(stage.source.address, '--from');
    const pace = { askEveryMs: 5, tellEveryMs: 100 };
    const data = { endpoints: [endpoint], timeoutMs, words: ['PING'], ...pace };
    probe = startProbe(data, ({ longestMs }) => seen.push(longestMs));
    await waitFor('the first word', () => seen.length > 0);
    return seen;
  }

  it('tells of a source that stands still, while it still does', async () => {
    const seen = await probing();
    const { pid } = stage.source;
    process.kill(pid, 'SIGSTOP');
    try {
      await waitFor('a long wait', () => Math.max(...seen) > 1000);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('goes on telling when its questions, and those who ask again, get no answer in time', async () => {
    const timeoutMs = 1000;
    const seen = await probing(timeoutMs);
    const { pid } = stage.source;
    process.kill(pid, 'SIGSTOP');
    try {
      await waitFor('a long wait', () => Math.max(...seen) > timeoutMs * 4);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await waitFor('an answer', () => (seen.at(-1) ?? Infinity) < timeoutMs);
  });

  it('does not take its own process being busy for a slow source', async () => {
    const seen = await probing();
    const toldBefore = seen.length;
    // So long that a server on a busy machine is not nearly as slow.
    const busyMs = 4000;
    const startMs = performance.now();
    while (performance.now() - startMs < busyMs);
    await waitFor('words from meanwhile', () => seen.length >= toldBefore + 5);
    expect(Math.max(...seen.slice(toldBefore))).toBeLessThan(busyMs / 2);
  });
});

describe('--max-source-latency', () => {
  it('has little under way while the source is slow, and more when it is not', async () => {
    await fillStrings(stage.source, { count: 300_000, valueBytes: 64 });
    const busy = { is: true };
    const load = (async () => {
      const client = stage.source.client.duplicate();
      while (busy.is) await client.eval(busyScript, 0, 300_000);
      client.disconnect();
    })();
    const words = ['--max-source-latency', '200', '--mover', 'relay', '--metrics', '0'];
    const run = startCli([...stage.endpoints, ...words]);
    try {
      const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
      const live = async () => (await (await fetch(`${url}/live.json`)).json()) as Live;
      const inflight = ({ nodes }: Live) => nodes.reduce((sum, node) => sum + node.inflightKeys, 0);
      await waitFor('little under way, because the source is slow', async () => {
        const now = await live();
        return inflight(now) > 0 && inflight(now) <= 8 && Number(now.latencyMs) > 200;
      });
      busy.is = false;
      await waitFor('much under way', async () => inflight(await live()) >= 100);
      expect((await run.done).code).toBe(0);
    } finally {
      busy.is = false;
      run.signal('SIGKILL');
      await Promise.all([run.done, load]);
    }
  });

  const largeHash = async (): Promise<void> => {
    const fields = Array.from({ length: 20_000 }, (_, nth) => [
      `field:${String(nth)}`,
      'v'.repeat(40),
    ]);
    await stage.source.client.hset('large', ...fields.flat());
  };

  it('moves a large value in one piece, where it is written to whenever it is read in slices', async () => {
    await largeHash();
    const { client } = stage.source;
    const writer = client.duplicate();
    const monitor = await client.duplicate().monitor();
    let writes = 0;
    monitor.on('monitor', (_time: string, [word = '', key]: string[]) => {
      if (word.toLowerCase() === 'hscan' && key === 'large') {
        writes++;
        void writer.hset('large', 'field:7', writes);
      }
    });
    try {
      const { code, report } = await runJson([...stage.endpoints, '--max-source-latency', '5']);
      expect([code, report.keys.failed]).toEqual([0, 0]);
      expect(writes).toBeGreaterThan(0);
      const copy = stage.cluster.clientFor('large');
      expect(await copy.hlen('large')).toBe(20_000);
    } finally {
      monitor.disconnect();
      writer.disconnect();
    }
  });

  it('moves large values in slices', async () => {
    await largeHash();
    const { client } = stage.source;
    await client.config('RESETSTAT');
    const run = startCli([...stage.endpoints, '--max-source-latency', '5', '--mover', 'relay']);
    expect((await run.done).code).toBe(0);
    expect(await stage.cluster.clientFor('large').hlen('large')).toBe(20_000);
    const stats = await client.info('commandstats');
    expect(stats).toContain('cmdstat_hscan');
    expect(stats).not.toContain('cmdstat_dump');
  });

  it('says before the start that the way alone takes longer', async () => {
    await stage.source.client.mset({ a: '1', b: '2' });
    const proxy = await startProxy(stage.source);
    try {
      proxy.faults.delayMs = { up: 10, down: 10 };
      const words = ['--from', proxy.address, '--to', stage.cluster.seed];
      const { code, report } = await runJson([...words, '--max-source-latency', '5']);
      expect(code).toBe(0);
      expect(report.warnings).toHaveLength(1);
      const [, tripMs, enoughMs] =
        /takes ([\d.]+) ms there and back.*--max-source-latency 5 .*more than (\d+) ms/.exec(
          report.warnings?.[0] ?? '',
        ) ?? [];
      // Each of the two timers may be a millisecond early.
      expect(Number(tripMs)).toBeGreaterThanOrEqual(18);
      expect(Number(tripMs)).toBeLessThan(report.durationMs);
      // What is said has been rounded.
      expect(Math.abs(Number(enoughMs) - 2 * Number(tripMs))).toBeLessThanOrEqual(1.1);
      expect(
        (await runJson([...words, '--max-source-latency', '60s', '--replace'])).report.warnings,
      ).toBeUndefined();
    } finally {
      await proxy.stop();
    }
  });

  it('spares the source while others are at work there, and tells for how long', async () => {
    await fillStrings(stage.source, { count: 2_000_000, valueBytes: 16 });
    const { client } = stage.source;
    const busy = { is: true };
    const others = client.duplicate();
    const work = (async () => {
      while (busy.is) await others.get('a key that nobody has');
    })();
    const run = startCli([...stage.endpoints, '--json', '--metrics', '0', '--max-rate', '20000']);
    try {
      const [, url = ''] = await run.output(/(http:\/\/[\d.:]+)\/metrics/);
      const live = async () => (await (await fetch(`${url}/live.json`)).json()) as Live;
      // Not only for the moment in which the run finds them: who rests right after it counts for nobody.
      const limits = await waitFor('a limit that lasts', async () => {
        const { limits, course } = await live();
        const isNoted = course.latencyLimitMs.some((limitMs) => limitMs !== null);
        return isNoted && Number(limits.others?.count) >= 1 && limits;
      });
      expect(limits.sourceLatencyMs).not.toBeNull();
      expect(limits.allowedKeys).toBeGreaterThanOrEqual(128);
      busy.is = false;
      await work;
      await waitFor('no limit', async () => (await live()).limits.sourceLatencyMs === null);
      await waitFor('word of it', async () =>
        (await live()).events.some(
          ({ text }) => text === 'nobody else uses the source: full speed',
        ),
      );
      run.signal('SIGINT');
      const { stdout } = await run.done;
      const { sparing } = JSON.parse(stdout) as Report;
      expect(sparing).toMatchObject({ forOthers: true });
      expect(sparing?.durationMs).toBeGreaterThan(0);
    } finally {
      busy.is = false;
      run.signal('SIGKILL');
      await Promise.all([run.done, work]);
      others.disconnect();
    }
  });

  it('spares nobody while nobody else is at work', async () => {
    await stage.source.client.mset({ a: '1', b: '2' });
    const { client } = stage.source;
    const idle = async (): Promise<boolean> => othersIn(String(await client.client('LIST'))) === 0;
    await waitFor('the client that filled the source to be idle', idle);
    const { report } = await runJson(stage.endpoints);
    expect(report.sparing).toBeUndefined();
  });

  it('spares nobody with off', async () => {
    const { client } = stage.source;
    await client.set('a', '1');
    const { report } = await runJson([...stage.endpoints, '--max-source-latency', 'off']);
    expect(report.sparing).toBeUndefined();
  });

  it('is a time', async () => {
    const run = startCli([...stage.endpoints, '--max-source-latency', 'low']);
    const { code, stderr } = await run.done;
    expect(code).toBe(2);
    expect(stderr).toMatch(/--max-source-latency must be from 1 to 60000 ms/);
  });
});
