import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../src/errors.js';
import { readWhere, serveMetrics } from '../../src/monitor/http.js';
import { probeLatency } from '../../src/monitor/latency.js';
import { createMetrics } from '../../src/monitor/metrics.js';
import { progressLine, showProgress } from '../../src/monitor/progress.js';
import { speedometer } from '../../src/monitor/speed.js';
import type { BatchEvent, Outcome, Tally, TallySnapshot } from '../../src/types.js';

const base: TallySnapshot = {
  startedAtMs: 0,
  scanned: 0,
  moved: 0,
  gone: 0,
  conflicting: 0,
  failed: 0,
  bytes: 0,
  retries: 0,
  redirects: 0,
  nodes: [],
  failures: [],
  progress: 0,
  sourceKeysLeft: 0,
};

const at = (seconds: number, changes: Partial<TallySnapshot> = {}): TallySnapshot => ({
  ...base,
  moved: seconds * 1000,
  bytes: seconds * 64_000,
  progress: seconds / 100,
  ...changes,
});

function fakeTally(snapshot: TallySnapshot) {
  const listeners: ((event: BatchEvent) => void)[] = [];
  const tally: Tally = {
    snapshot: () => snapshot,
    onBatch: (listener) => listeners.push(listener),
  };
  return {
    tally,
    end: (event: BatchEvent) => {
      for (const listener of listeners) listener(event);
    },
  };
}

describe('the speed', () => {
  it('of a steady run is its rate, and the time left what remains of it', () => {
    const meter = speedometer();
    for (let seconds = 1; seconds < 40; seconds++) meter.read(at(seconds), seconds * 1000);
    const speed = meter.read(at(40), 40_000);
    expect(speed.keysPerSecond).toBeCloseTo(1000);
    expect(speed.bytesPerSecond).toBeCloseTo(64_000);
    expect(speed.leftMs).toBeCloseTo(60_000);
  });

  it('promises no time left before it can tell', () => {
    expect(speedometer().read(at(1), 1000).leftMs).toBeUndefined();
    expect(speedometer().read(at(60, { progress: 0.001 }), 60_000).leftMs).toBeUndefined();
    expect(speedometer().read(at(60, { progress: 0 }), 60_000).leftMs).toBeUndefined();
  });

  it('fades to nothing when the run stalls, and never counts backwards', () => {
    const meter = speedometer();
    meter.read(at(10), 10_000);
    expect(meter.read(at(10), 70_000).keysPerSecond).toBeLessThan(10);
    expect(meter.read(at(0), 80_000).keysPerSecond).toBe(0);
  });
});

it('writes the progress as one line', () => {
  const speed = { keysPerSecond: 331_000, bytesPerSecond: 21e6, leftMs: 62_000 };
  expect(progressLine(at(30, { moved: 1_234_567 }), speed, 30_000)).toBe(
    '1,234,567 keys · 331,000 keys/s · 21.0 MB/s · 30.0 % · 30 s so far · 1 min 02 s left',
  );
  const trouble = { conflicting: 3, failed: 1 };
  expect(progressLine(at(1, trouble), { ...speed, leftMs: undefined }, 1000)).toMatch(
    /· – left · 3 conflicting · 1 failed$/,
  );
});

describe('in time', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('a stream that is no terminal gets a line every five seconds', () => {
    const stream = new PassThrough();
    const progress = showProgress(fakeTally(at(1)).tally, stream);
    vi.advanceTimersByTime(15_000);
    progress.stop();
    vi.advanceTimersByTime(15_000);
    expect(String(stream.read()).trim().split('\n')).toHaveLength(3);
  });

  it('the source is asked once a second, and its silence tells nothing', async () => {
    const answers = [() => Promise.resolve(), () => Promise.reject(new Error('lost'))];
    const told: number[] = [];
    const probe = probeLatency(
      () => answers.shift()?.() ?? new Promise(() => undefined),
      (seconds) => told.push(seconds),
    );
    await vi.advanceTimersByTimeAsync(10_000);
    probe.stop();
    expect(told).toHaveLength(1);
    expect(answers).toHaveLength(0);
  });
});

describe('the metrics', () => {
  const outcome: Outcome = {
    moved: 5,
    gone: 1,
    repeated: 0,
    conflicting: 1,
    failed: 0,
    bytes: 320,
    retries: [],
    failures: [{ key: Buffer.from('secret-key'), class: 'conflict', message: 'is there' }],
  };
  const node = { address: 'a:1', host: 'a', port: 1 };

  it('say what the tally and the batches said', async () => {
    const nodes = [{ address: 'a:1', keys: 5, bytes: 320, inflightKeys: 7 }];
    const fake = fakeTally(at(5, { nodes, redirects: 2, conflicting: 1, sourceKeysLeft: 9 }));
    const metrics = createMetrics(fake.tally);
    metrics.sourceLatency(0.002);
    fake.end({ mover: 'relay', node, outcome, durationMs: 4 });
    await metrics.registry.metrics();
    const text = await metrics.registry.metrics();
    const lines = text.split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'cluster_import_keys_total{outcome="moved"} 5000',
        'cluster_import_keys_total{outcome="conflicting"} 1',
        'cluster_import_bytes_total{node="a:1"} 320',
        'cluster_import_batches_total{mover="relay",node="a:1"} 1',
        'cluster_import_batch_duration_seconds_count{mover="relay",node="a:1"} 1',
        'cluster_import_errors_total{class="conflict"} 1',
        'cluster_import_redirects_total 2',
        'cluster_import_inflight_keys{node="a:1"} 7',
        'cluster_import_source_keys 9',
        'cluster_import_progress_ratio 0.05',
        'cluster_import_source_latency_seconds 0.002',
      ]),
    );
    expect(text).toContain('cluster_import_eta_seconds');
    expect(text).toContain('process_cpu_seconds_total');
    expect(text).not.toContain('secret-key');
  });

  it('are served at /metrics on the loopback, and nothing else is', async () => {
    const server = await serveMetrics(createMetrics(fakeTally(at(1)).tally).registry, '0');
    try {
      expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/metrics$/);
      const answer = await fetch(server.url);
      expect(answer.status).toBe(200);
      expect(await answer.text()).toContain('cluster_import_keys_total');
      expect((await fetch(server.url.replace('/metrics', '/'))).status).toBe(404);
      expect((await fetch(server.url, { method: 'POST' })).status).toBe(404);
      const port = new URL(server.url).port;
      const { registry } = createMetrics(fakeTally(at(1)).tally);
      await expect(serveMetrics(registry, port)).rejects.toThrow(/--metrics can't listen/);
    } finally {
      server.close();
    }
  });

  it.each([
    ['9090', '127.0.0.1', 9090],
    ['0.0.0.0:9090', '0.0.0.0', 9090],
    ['localhost:0', 'localhost', 0],
    ['[::1]:9090', '::1', 9090],
  ])('can be asked for at %s', (where, host, port) => {
    expect(readWhere(where)).toEqual({ host, port });
  });

  it.each(['', 'x', '65536', 'host:', ':9090', '::1:9090', '9090/metrics'])(
    'can not be asked for at "%s"',
    (where) => {
      expect(() => readWhere(where)).toThrow(UsageError);
    },
  );
});
