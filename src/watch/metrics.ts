/**
 * The run as Prometheus sees it.
 *
 * What the tally knows is read from it when somebody asks, so that the two never differ; what only
 * the end of a batch shows is counted then. Nothing here is done per key, and every label takes its
 * values from a short list: outcomes, classes, movers, and the cluster's masters.
 */
import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  Pushgateway,
  Registry,
} from 'prom-client';
import type { BatchEvent, FailureClass, FollowStatus, Phase, Tally } from '../types.js';
import type { Sample, Sampler } from './sampler.js';

const outcomes = ['moved', 'gone', 'conflicting', 'failed'] as const;
const statuses = ['running', 'complete', 'incomplete', 'interrupted', 'failed'] as const;
const states = ['ok', 'slow', 'away', 'given-up'] as const;
const durationBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
/** All of them, so that each stands at 0 before its first: a rate needs that to see the first. */
const classes: Readonly<Record<FailureClass, true>> = {
  conflict: true,
  recreated: true,
  diverged: true,
  changing: true,
  differs: true,
  oom: true,
  unavailable: true,
  redirected: true,
  version: true,
  permission: true,
  'too-large': true,
  source: true,
  other: true,
};
/** Gauges of prom-client that are named like counters, and say what others say by type. */
const misnamed = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);
const pushTimeoutMs = 5000;

export interface Metrics {
  /** Of the exposition format. */
  readonly contentType: string;
  /** All of them, in that format. */
  text(): Promise<string>;
  /** Sends them once to a Pushgateway, in the place of what the same sources had there. */
  push(url: string, from: readonly string[]): Promise<void>;
}

export function createMetrics(tally: Tally, sampler: Sampler): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  addCounters(sampler, registry);
  addBatchMetrics(tally, registry);
  addGauges(sampler, registry);
  addRunMetrics(sampler, registry);
  const { mode, follow } = sampler.read().facts;
  if (mode === 'follow' && follow) addFollowMetrics(follow, registry);
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    async push(url, from) {
      const gateway = new Pushgateway(url, { timeout: pushTimeoutMs }, registry);
      await gateway.push({ jobName: 'cluster_import', groupings: groupingsOf(from) });
    },
  };
}

/**
 * Servers and databases apart; a file has no database. The groupings stand in a path, where a value
 * with a slash has to be written in base64 (https://github.com/prometheus/pushgateway, "URL").
 */
function groupingsOf(from: readonly string[]): Record<string, string> {
  const all = (values: readonly string[]): string => [...new Set(values)].join(',');
  const database = /\/(\d+)$/;
  const instance = all(from.map((name) => name.replace(database, '')));
  return {
    ...(instance.includes('/')
      ? { 'instance@base64': Buffer.from(instance).toString('base64url') }
      : { instance }),
    db: all(from.map((name) => database.exec(name)?.[1] ?? '0')),
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

function addCounters(sampler: Sampler, registry: Registry): void {
  new Counter({
    ...words('keys_total', 'Keys, by what became of them', registry, 'outcome'),
    collect() {
      const { snapshot } = sampler.read();
      this.reset();
      for (const outcome of outcomes) this.inc({ outcome }, snapshot[outcome]);
    },
  });
  new Counter({
    ...words(
      'bytes_total',
      'Value bytes that reached each node; by migrate, all that the node received meanwhile',
      registry,
      'node',
    ),
    collect() {
      this.reset();
      for (const { address, bytes } of sampler.read().nodes) this.inc({ node: address }, bytes);
    },
  });
  new Counter({
    ...words('retries_total', 'Keys that are tried again, by node', registry, 'node'),
    collect() {
      this.reset();
      for (const { address, retries } of sampler.read().nodes) this.inc({ node: address }, retries);
    },
  });
  new Counter({
    ...words('redirects_total', 'Keys that the cluster sent to another node', registry),
    collect() {
      this.reset();
      this.inc(sampler.read().snapshot.redirects);
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
    words('errors_total', 'Keys that failed, conflicted or are tried again', registry, 'class'),
  );
  for (const name of Object.keys(classes)) errors.inc({ class: name }, 0);
  tally.onBatch(({ mover, node, durationMs, troubles }: BatchEvent) => {
    batches.inc({ mover, node });
    durations.observe({ mover, node }, durationMs / 1000);
    for (const [name, keys] of troubles) errors.inc({ class: name }, keys);
  });
}

function addGauges(sampler: Sampler, registry: Registry): void {
  const gauge = (name: string, help: string, read: (sample: Sample) => number | undefined) =>
    new Gauge({
      ...words(name, help, registry),
      collect() {
        this.set(read(sampler.read()) ?? NaN);
      },
    });
  gauge('source_keys', 'Keys that are left at the source', (now) => now.snapshot.sourceKeysLeft);
  gauge('progress_ratio', 'Share of the source that is done, 0 to 1', (now) => {
    return Math.min(1, now.snapshot.progress);
  });
  gauge('eta_seconds', 'Seconds until the end; NaN until that is known', ({ speed }) => {
    return speed.leftMs === undefined ? NaN : speed.leftMs / 1000;
  });
  gauge('keys_per_second', 'Keys moved a second, over the last second or two', ({ speed }) => {
    return speed.keysPerSecond;
  });
  gauge('stalled_seconds', 'For how long no key has come to its end; 0: some have', (now) => {
    return (now.stall?.forMs ?? 0) / 1000;
  });
  gauge('source_latency_seconds', 'How long the source took to answer a PING', (now) => {
    return now.latencySeconds;
  });
  gauge('paused', '1 while the run is held, 0 while it moves keys', ({ facts }) => {
    return facts.steering.isPaused ? 1 : 0;
  });
  new Gauge({
    ...words(
      'server_state',
      '1 for the state that a source or node has, 0 for others',
      registry,
      'server',
      'state',
    ),
    collect() {
      const { sources, nodes } = sampler.read();
      const servers = [
        ...sources.map(({ name, health }) => ({ server: name, health })),
        ...nodes.map(({ address, health }) => ({ server: address, health })),
      ];
      for (const { server, health } of servers) {
        for (const state of states) this.set({ server, state }, state === health.state ? 1 : 0);
      }
    },
  });
  new Gauge({
    ...words('inflight_keys', 'Keys on their way to each node', registry, 'node'),
    collect() {
      for (const { address, inflightKeys } of sampler.read().nodes) {
        this.set({ node: address }, inflightKeys);
      }
    },
  });
}

/** What identifies the run, and whether it is still under way. */
function addRunMetrics(sampler: Sampler, registry: Registry): void {
  new Gauge({
    ...words('run_status', '1 for the status that the run has, 0 for others', registry, 'status'),
    collect() {
      const { status } = sampler.read();
      for (const one of statuses) this.set({ status: one }, one === status ? 1 : 0);
    },
  });
  new Gauge({
    ...words('start_time_seconds', 'When the run began, in Unix time', registry),
    collect() {
      this.set(sampler.read().snapshot.startedAtMs / 1000);
    },
  });
  new Gauge({
    ...words('info', 'Always 1: what runs, and how', registry, 'version', 'mode', 'mover'),
    collect() {
      const { version, mode, mover } = sampler.read().facts;
      this.reset();
      this.set({ version, mode, mover: mover.name }, 1);
    },
  });
}

/* The metrics of a run that follows its source; others don't have them. */

/** So that none can be forgotten. */
const phases: Readonly<Record<Phase, true>> = {
  joining: true,
  copying: true,
  'catching-up': true,
  following: true,
  holding: true,
  'cut-over': true,
};

/** @param read undefined: the feed is being joined. */
function addFollowMetrics(read: () => FollowStatus | undefined, registry: Registry): void {
  const words = (name: string, help: string) => ({
    name: `cluster_import_${name}`,
    help,
    registers: [registry],
  });
  const gauge = (name: string, help: string, value: (status: FollowStatus) => number) =>
    new Gauge({
      ...words(name, help),
      collect() {
        const status = read();
        this.set(status ? value(status) : NaN);
      },
    });
  const counter = (name: string, help: string, value: (status: FollowStatus) => number) =>
    new Counter({
      ...words(name, help),
      collect() {
        const status = read();
        this.reset();
        this.inc(status ? value(status) : 0);
      },
    });
  new Gauge({
    ...words('phase', '1 for the phase that the following is in, 0 for others'),
    labelNames: ['phase'],
    collect() {
      const now = read()?.phase ?? 'joining';
      for (const phase of Object.keys(phases)) this.set({ phase }, phase === now ? 1 : 0);
    },
  });
  gauge(
    'feed_lag_seconds',
    'How long the oldest change has been waiting to be copied',
    (status) => {
      return status.lagNowMs / 1000;
    },
  );
  gauge('changed_keys', 'Keys that wait to be copied again; +Inf: all', ({ changedKeys }) => {
    return changedKeys ?? Infinity;
  });
  gauge('writes_held_seconds', 'How long writes have been held for the cutover', ({ heldMs }) => {
    return heldMs / 1000;
  });
  counter(
    'feed_changes_total',
    'Changes at the source that were heard of',
    ({ changes }) => changes,
  );
  counter('feed_gaps_total', 'Gaps, after which all keys were compared again', ({ gaps }) => gaps);
}

/* What a worker of a queue shows Prometheus: which sources it imports now, and what it has done. */

const workerOutcomes = ['moved', 'gone', 'conflicting', 'failed'] as const;

/** What of a source counts here. */
type SourceCounts = Readonly<Record<(typeof workerOutcomes)[number], number>>;

export interface WorkerMetrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** @param counts of all attempts at the source so far. */
  note(source: string, counts: SourceCounts): void;
  /** The source is somebody else's, or done. */
  forget(source: string): void;
}

export function createWorkerMetrics(): WorkerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const sources = new Map<string, SourceCounts>();
  new Gauge({
    name: 'cluster_import_worker_sources',
    help: 'Sources that this worker imports now',
    registers: [registry],
    collect() {
      this.set(sources.size);
    },
  });
  new Counter({
    name: 'cluster_import_source_keys_total',
    help: 'Keys of the sources that this worker imports now, by what became of them',
    registers: [registry],
    labelNames: ['source', 'outcome'],
    collect() {
      this.reset();
      for (const [source, counts] of sources) {
        for (const outcome of workerOutcomes) this.inc({ source, outcome }, counts[outcome]);
      }
    },
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    note(source, counts) {
      sources.set(source, counts);
    },
    forget(source) {
      sources.delete(source);
    },
  };
}
