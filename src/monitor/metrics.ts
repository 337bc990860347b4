/**
 * The run as Prometheus sees it.
 *
 * What the tally knows is read from it when somebody asks, so that the two never differ; what only
 * a batch's end tells is counted then. Nothing here is done per key.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { BatchEvent, Tally, TallySnapshot } from '../types.js';
import { speedometer } from './speed.js';

const outcomes = ['moved', 'gone', 'conflicting', 'failed'] as const;
const durationBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

export interface Metrics {
  readonly registry: Registry;
  /** Notes how long the source took to answer. */
  sourceLatency(seconds: number): void;
}

export function createMetrics(tally: Tally): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  addCounters(tally, registry);
  addBatchMetrics(tally, registry);
  addGauges(tally, registry);
  const latency = new Gauge({
    ...words('source_latency_seconds', 'How long the source took to answer a PING', registry),
  });
  return {
    registry,
    sourceLatency(seconds) {
      latency.set(seconds);
    },
  };
}

function words<Label extends string>(
  name: string,
  help: string,
  registry: Registry,
  ...labelNames: Label[]
) {
  return { name: `cluster_import_${name}`, help, registers: [registry], labelNames };
}

function addCounters(tally: Tally, registry: Registry): void {
  new Counter({
    ...words('keys_total', 'Keys, by what became of them', registry, 'outcome'),
    collect() {
      const snapshot = tally.snapshot();
      this.reset();
      for (const outcome of outcomes) this.inc({ outcome }, snapshot[outcome]);
    },
  });
  new Counter({
    ...words('bytes_total', 'Value bytes that reached each node', registry, 'node'),
    collect() {
      this.reset();
      for (const { address, bytes } of tally.snapshot().nodes) this.inc({ node: address }, bytes);
    },
  });
  new Counter({
    ...words('redirects_total', 'Keys that the cluster sent to another node', registry),
    collect() {
      this.reset();
      this.inc(tally.snapshot().redirects);
    },
  });
}

function addBatchMetrics(tally: Tally, registry: Registry): void {
  const batches = new Counter(
    words('batches_total', 'Batches that ended', registry, 'mover', 'node'),
  );
  const durations = new Histogram({
    ...words('batch_duration_seconds', 'How long a batch took', registry, 'mover', 'node'),
    buckets: durationBuckets,
  });
  const errors = new Counter(
    words('errors_total', 'Keys that failed, conflicted or went round again', registry, 'class'),
  );
  tally.onBatch(({ mover, node, outcome, durationMs }: BatchEvent) => {
    batches.inc({ mover, node: node.address });
    durations.observe({ mover, node: node.address }, durationMs / 1000);
    for (const failure of outcome.failures) errors.inc({ class: failure.class });
    for (const retry of outcome.retries) errors.inc({ class: retry.class }, retry.keys.count);
  });
}

function addGauges(tally: Tally, registry: Registry): void {
  const meter = speedometer();
  const gauge = (name: string, help: string, read: (snapshot: TallySnapshot) => number) =>
    new Gauge({
      ...words(name, help, registry),
      collect() {
        this.set(read(tally.snapshot()));
      },
    });
  gauge('source_keys', 'Keys that are left at the source', (now) => now.sourceKeysLeft);
  gauge('progress_ratio', 'Share of the source that is done, 0 to 1', (now) => now.progress);
  gauge('eta_seconds', 'Seconds until the end; NaN until that is known', (now) => {
    const { leftMs } = meter.read(now, Date.now());
    return leftMs === undefined ? NaN : leftMs / 1000;
  });
  new Gauge({
    ...words('inflight_keys', 'Keys on their way to each node', registry, 'node'),
    collect() {
      for (const { address, inflightKeys } of tally.snapshot().nodes) {
        this.set({ node: address }, inflightKeys);
      }
    },
  });
}
