/** The metrics of a run that follows its source; others don't have them. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { FollowStatus, Phase } from '../types.js';

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
export function addFollowMetrics(read: () => FollowStatus | undefined, registry: Registry): void {
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
