/** What a worker of a queue shows Prometheus: which sources it imports now, and what it has done. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

const outcomes = ['moved', 'gone', 'conflicting', 'failed'] as const;

/** What of a source counts here. */
type SourceCounts = Readonly<Record<(typeof outcomes)[number], number>>;

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
        for (const outcome of outcomes) this.inc({ source, outcome }, counts[outcome]);
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
