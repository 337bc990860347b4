/**
 * `npm run bench -- watching`: what it costs to be watched, in the worst case: a view drawn five times a
 * second, a browser that asks each second, Prometheus each five, twelve nodes, a full history.
 *
 * It is CPU that is measured, and not the rate of runs: two percent is less than such rates vary by.
 */
import { Writable } from 'node:stream';
import { createLogUpdate } from 'log-update';
import colours from 'picocolors';
import { createEvents, createHistory } from '../src/watch/history.js';
import { liveState, standing } from '../src/watch/live.js';
import { createMetrics } from '../src/watch/metrics.js';
import { createSampler } from '../src/watch/sampler.js';
import { viewLines } from '../src/watch/view.js';
import { endBatch, facts, newTally } from '../test/support/tallies.js';
import type { Benchmark } from './types.js';

const rounds = 500;

export const watching: Benchmark = { usage: '', run: measureWatching };

async function measureWatching(): Promise<void> {
  const tally = newTally();
  const failure = { key: Buffer.from('user:42'), class: 'conflict', message: 'is there' } as const;
  for (let nth = 0; nth < 1200; nth++) {
    const address = `10.0.0.${String(nth % 12)}:7000`;
    endBatch(tally, address, 10, { moved: 9, conflicting: 1, failures: [failure] });
  }
  const sampler = createSampler(tally, facts);
  const metrics = createMetrics(tally, sampler);
  const history = createHistory();
  for (let second = 1; second < 1000; second++) {
    history.note({ ...sampler.read(), atMs: Date.now() + second * 1000 });
  }
  const size = { columns: 140, rows: 40 };
  const sink = new Writable({
    write: (_, __, done) => {
      done();
    },
  });
  const update = createLogUpdate(Object.assign(sink, size, { isTTY: true }) as never, {
    showCursor: true,
  });
  const palette = colours.createColors(true);

  const works: readonly (readonly [string, number, () => unknown])[] = [
    [
      'the terminal',
      5,
      () => {
        endBatch(tally, '10.0.0.1:7000', 1, { moved: 1 });
        update(viewLines(standing(sampler, undefined), size, palette).join('\n'));
      },
    ],
    ['the page', 1, () => JSON.stringify(liveState(sampler, history, createEvents(), undefined))],
    ['the metrics', 0.2, () => metrics.text()],
  ];
  let total = 0;
  for (const [name, perSecond, work] of works) {
    for (let round = 0; round < 50; round++) await work();
    const before = process.cpuUsage();
    for (let round = 0; round < rounds; round++) await work();
    const { user, system } = process.cpuUsage(before);
    const percent = ((user + system) / rounds / 1e6) * perSecond * 100;
    total += percent;
    console.log(`${name.padEnd(14)} ${percent.toFixed(2)} % of a core`);
  }
  console.log(`${'together'.padEnd(14)} ${total.toFixed(2)} % of a core`);
}
