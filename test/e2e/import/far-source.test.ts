/** A source that is far from here, and near its nodes: the way there is no reason for smaller calls. */
import { expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();

it('gets MIGRATE for many keys at a time', async () => {
  const count = 3000;
  await fillStrings(stage.source, { count, valueBytes: 20 });
  const proxy = await startProxy(stage.source);
  try {
    // The way takes longer than a call may, and a call on a busy machine much less.
    proxy.faults.delayMs.down = 200;
    const endpoints = ['--from', proxy.address, '--to', stage.cluster.seed];
    const words = ['--mover', 'migrate', '--max-block', '100ms'];
    const { code, report } = await runJson([...endpoints, ...words]);
    expect(code).toBe(0);
    expect(report.keys.moved).toBe(count);
    const stats = await stage.source.client.info('commandstats');
    const calls = Number(/cmdstat_migrate:calls=(\d+)/.exec(stats)?.[1]);
    expect(calls).toBeLessThan(count / 10);
  } finally {
    await proxy.stop();
  }
});
