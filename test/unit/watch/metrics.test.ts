import type { FollowStatus } from '../../../src/types.js';
import { describe, expect, it } from 'vitest';
import { createHistory } from '../../../src/watch/history.js';
import { createMetrics } from '../../../src/watch/metrics.js';
import { createSampler } from '../../../src/watch/sampler.js';
import { someKeys } from '../../support/batches.js';
import { at, endBatch, facts, newTally, sampleOf } from '../../support/tallies.js';

describe('the metrics', () => {
  it('say what the tally and the batches said, and no key', async () => {
    const tally = newTally();
    const sampler = createSampler(tally, facts);
    const metrics = createMetrics(tally, sampler);
    sampler.noteLatency(0.002);
    const retry = { keys: someKeys(2), class: 'redirected', message: 'key 0 MOVED' } as const;
    const failure = { key: Buffer.from('c-key'), class: 'conflict', message: 'is there' } as const;
    endBatch(tally, 'a:1', 9, {
      moved: 5,
      gone: 1,
      conflicting: 1,
      bytes: 320,
      failures: [failure],
      retries: [retry],
    });
    await metrics.text();
    const text = await metrics.text();
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        'cluster_import_keys_total{outcome="moved"} 5',
        'cluster_import_keys_total{outcome="conflicting"} 1',
        'cluster_import_bytes_total{node="a:1"} 320',
        'cluster_import_retries_total{node="a:1"} 2',
        'cluster_import_batches_total{mover="relay",node="a:1"} 1',
        'cluster_import_batch_duration_seconds_count{mover="relay",node="a:1"} 1',
        'cluster_import_errors_total{class="conflict"} 1',
        'cluster_import_errors_total{class="redirected"} 2',
        'cluster_import_errors_total{class="oom"} 0',
        'cluster_import_redirects_total 2',
        'cluster_import_inflight_keys{node="a:1"} 0',
        'cluster_import_source_keys 994',
        'cluster_import_progress_ratio 0.5',
        'cluster_import_eta_seconds Nan',
        'cluster_import_source_latency_seconds 0.002',
        'cluster_import_run_status{status="running"} 1',
        'cluster_import_run_status{status="complete"} 0',
        'cluster_import_info{version="1.2.3",mode="move",mover="relay"} 1',
      ]),
    );
    expect(text).toContain('process_cpu_seconds_total');
    expect(text).not.toMatch(/c-key|key 0/);
    sampler.end('incomplete');
    expect(await metrics.text()).toContain('cluster_import_run_status{status="incomplete"} 1');
  });
});

describe('the history', () => {
  const note = (history: ReturnType<typeof createHistory>, second: number, latencyMs = 1): void => {
    const latencySeconds = latencyMs / 1000;
    history.note(sampleOf({ atMs: second * 1000, snapshot: at(second), latencySeconds }));
  };

  it('stays bounded, spans the whole run, and tells the right rates', () => {
    const history = createHistory(10);
    for (let second = 1; second <= 1000; second++) note(history, second, second === 500 ? 99 : 1);
    const { atMs, keysPerSecond, bytesPerSecond, latencyMs } = history.course();
    expect(atMs.length).toBeGreaterThanOrEqual(4);
    expect(atMs.length).toBeLessThanOrEqual(10);
    expect(atMs.at(-1)).toBeGreaterThan(800_000);
    expect(atMs[0]).toBeLessThan(300_000);
    expect(new Set(keysPerSecond)).toEqual(new Set([1000]));
    expect(new Set(bytesPerSecond)).toEqual(new Set([64_000]));
    expect(Math.max(...latencyMs.map(Number))).toBe(99);
  });

  it('keeps the worst of how far a followed source was ahead', () => {
    const history = createHistory(4);
    for (let second = 1; second <= 20; second++) {
      const lagNowMs = second === 7 ? 900 : second;
      const follow = () => ({ lagNowMs, changedKeys: 2 * lagNowMs }) as FollowStatus;
      const sample = sampleOf({ atMs: second * 1000, snapshot: at(second) });
      history.note({ ...sample, facts: { ...sample.facts, follow } });
    }
    const { lagMs, changedKeys } = history.course();
    expect([Math.max(...lagMs.map(Number)), Math.max(...changedKeys.map(Number))]).toEqual([
      900, 1800,
    ]);
  });

  it('has a point each second at first', () => {
    const history = createHistory();
    for (let tenth = 1; tenth <= 50; tenth++) note(history, tenth / 10);
    expect(history.course().atMs).toHaveLength(5);
  });
});
