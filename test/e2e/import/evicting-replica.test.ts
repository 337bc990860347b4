/** A replica that takes over and evicts while a run stands still: what it gave up is told all the same. */
import { expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { startHalfway } from '../../support/halfway.js';
import { startProxy } from '../../support/proxy.js';
import { reportOf } from '../../support/reports.js';
import { failOver } from '../../support/reshard.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage({ cluster: { replicasPerMaster: 1 }, anew: true });

it('is noticed though nobody had heard that it is a master', async () => {
  const count = 60_000;
  await fillStrings(stage.source, { count, valueBytes: 100 });
  const proxy = await startProxy(stage.source);
  // A cluster lists a replica once it has heard how far that is, which a new one is not yet.
  await waitFor('the replicas to be listed', async () => {
    const asked = stage.cluster.nodes.map(({ client }) => client.cluster('SLOTS'));
    const rows = (await Promise.all(asked)).flat() as unknown[][];
    return rows.every(({ length }) => length > 3);
  });
  try {
    const to = stage.cluster.seed;
    const run = await startHalfway({ source: stage.source, proxy, to, words: [] });
    const sizes = await Promise.all(stage.cluster.masters.map(({ client }) => client.dbsize()));
    const [heir] = stage.cluster.replicas[sizes.indexOf(Math.max(...sizes))] ?? [];
    if (!heir) throw new Error('the cluster has no replica');
    const evicted = async () =>
      Number(/^evicted_keys:(\d+)/m.exec(await heir.client.info('stats'))?.[1]);
    expect(await evicted()).toBe(0);
    await failOver(stage.cluster, heir);
    await heir.client.config('SET', 'maxmemory-policy', 'allkeys-random', 'maxmemory', '1000000');
    await waitFor('keys to be evicted', async () => (await evicted()) > 0);
    // Room is none of its troubles by the time that the run hears of it.
    await heir.client.config('SET', 'maxmemory', '0');
    proxy.resume();
    const { code, report } = reportOf(await run.done);
    expect(report.evicted).toEqual([{ address: heir.address, keys: await evicted() }]);
    expect(report.error).toContain('Nodes evicted keys since the start');
    expect(code).toBe(3);
  } finally {
    await proxy.stop();
  }
});
