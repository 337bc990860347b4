/** Many jobs by a runner that does nothing: what they are told, and what is asked of them. */
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import type { ImportOptions } from '../../../src/options/options.js';
import type { Facts } from '../../../src/plan/preflight.js';
import type { SpreadPlan } from '../../../src/workers/source-job.js';
import type { JobEnd, JobNews, JobOrders } from '../../../src/workers/job-news.js';
import { batchesOnWire, tallyOnWire } from '../../../src/workers/job-news.js';
import type { JobRunner } from '../../../src/workers/job-runner.js';
import type { SourceJob } from '../../../src/workers/source-job.js';
import { createSpreadRuns } from '../../../src/workers/spread-runs.js';
import { at } from '../../support/tallies.js';

interface Begun {
  readonly job: SourceJob;
  readonly orders: JobOrders[];
  readonly hear: (news: JobNews) => void;
  readonly end: (end: JobEnd) => void;
}

const nothing = (): void => undefined;
const told = {
  logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  tell: nothing,
  warn: nothing,
  announce: nothing,
};

/** Of files, which need no server. */
function spread(count: number, options: Partial<ImportOptions> = {}) {
  const names = Array.from({ length: count }, (_, nth) => `/${String(nth)}.rdb`);
  const sources = names.map((name) => ({ kind: 'dump', name, keys: 0, isFile: true }));
  const begun: Begun[] = [];
  const runner: JobRunner = {
    atOnce: Infinity,
    begin(job, orders, hear) {
      const given = [orders];
      let end: (how: JobEnd) => void = nothing;
      const ended = new Promise<JobEnd>((resolve) => (end = resolve));
      begun.push({
        job,
        orders: given,
        hear: (news) => {
          hear.news(news);
        },
        end,
      });
      return {
        ...{ ended, stop: nothing, expectEnd: nothing, say: nothing },
        obey: (next) => void given.push(next),
      };
    },
    close: () => Promise.resolve(undefined),
  };
  const runs = createSpreadRuns(
    { sources, target: { name: 'a:1' } } as unknown as Facts,
    {
      options: { to: 'a:1', from: names, maxBandwidth: 0, queue: 'q:1', ...options },
      decision: { startedEmpty: true, goesOn: false },
      startAts: {},
    } as unknown as SpreadPlan,
    runner,
    told,
  );
  const { signal } = new AbortController();
  return { runs, begun, signal, running: runs.run(signal) };
}

function newsOf({ job }: Begun, moved: number, reason = 'it is'): JobNews {
  const [name = ''] = job.sources;
  const tally = tallyOnWire(at(1, { moved }));
  return {
    sources: { [name]: { tally, mover: { name: 'restore', reason }, settled: null } },
    batches: { [name]: batchesOnWire([]) },
    ...{ failures: {}, warnings: [], log: [], latencySeconds: null, latencyLimitMs: null },
  };
}

async function endAll(begun: readonly Begun[]): Promise<void> {
  for (const one of begun) {
    const sources = one.job.sources.map((name) => [name, { error: null, isFinal: false }]);
    one.end({ sources: Object.fromEntries(sources) as never, news: newsOf(one, 1) });
  }
  await Promise.resolve();
}

it('orders each of a thousand jobs a few times, and not a thousand', async () => {
  const { begun, running, signal } = spread(1000, { maxRate: 1000 });
  await Promise.resolve();
  // Node warns of a signal to which more than ten listen.
  expect(getEventListeners(signal, 'abort').length).toBeLessThan(10);
  for (const one of begun.slice(0, 100)) one.hear(newsOf(one, 1));
  await new Promise((resolve) => setImmediate(resolve));
  const orders = begun.map((one) => one.orders.length);
  expect(Math.max(...orders)).toBeLessThan(5);
  const share = begun[0]?.orders.at(-1)?.keysPerSecond;
  expect(share).toBe(10);
  await endAll(begun);
  await running;
});

it('counts what was heard last', async () => {
  const { runs, begun, running } = spread(3);
  await Promise.resolve();
  expect(runs.tally.snapshot().moved).toBe(0);
  const [first] = begun as [Begun];
  first.hear(newsOf(first, 5));
  expect(runs.tally.snapshot().moved).toBe(5);
  first.hear(newsOf(first, 8));
  expect(runs.tally.snapshot().moved).toBe(8);
  await endAll(begun);
  await running;
});

it('says why a mover is taken, also of one source alone, once that is known', async () => {
  const { runs, begun, running } = spread(1);
  await Promise.resolve();
  const { mover } = runs;
  const [first] = begun as [Begun];
  first.hear(newsOf(first, 5, 'the source is a file'));
  expect(mover).toMatchObject({ name: 'restore', reason: 'the source is a file' });
  await endAll(begun);
  await running;
});

it('names some sources with their reasons, and counts the others', async () => {
  const { runs, begun, running } = spread(1000);
  await Promise.resolve();
  for (const [nth, one] of begun.entries()) one.hear(newsOf(one, 1, `reason ${String(nth)}`));
  expect(runs.mover.reason).toBe(
    [
      ...[0, 1, 2, 3, 4].map((nth) => `/${String(nth)}.rdb by restore: reason ${String(nth)}`),
      'and 995 more sources',
    ].join('; '),
  );
  await endAll(begun);
  await running;
});
