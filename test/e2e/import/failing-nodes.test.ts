/** Nodes that refuse for a while: the run goes on with the others, and comes back. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed } from '../../support/bulk.js';
import { startCli } from '../../support/cli.js';
import { type ClusterNode, isWell } from '../../support/cluster.js';
import { type Snapshot, snapshot } from '../../support/compare.js';
import { startHalfway, startListing, unlessEnded } from '../../support/halfway.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Reported, reportOf, runJson } from '../../support/reports.js';
import { slotOf } from '../../support/keys.js';
import { leftAlone } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

// What is acknowledged is on disk; and loading it takes a moment that can be seen.
const onDisk = ['appendonly yes', 'appendfsync always', 'key-load-delay 100'];
const stage = setStage({
  cluster: { config: [...onDisk, 'loading-process-events-interval-bytes 2048'] },
});
const count = 3000;
let before: Snapshot;
let node: ClusterNode;

let proxy: Proxy;

beforeEach(async () => {
  proxy = await startProxy(stage.source);
  await fillMixed(stage.source, count);
  before = await snapshot(stage.source.client);
  [node] = stage.cluster.masters as [ClusterNode];
});
afterEach(async () => {
  await proxy.stop();
  await node.client.config('SET', 'maxmemory', '0', 'min-replicas-to-write', '0', 'save', '');
});

/** The node's trouble lasts for as long as the test takes: it is not to be given up. */
const halfway = (...words: string[]) =>
  startHalfway({
    ...{ source: stage.source, proxy, to: stage.cluster.seed },
    words: ['--retry-for', '10m', ...words],
  });

const expectComplete = (run: Reported) => stage.expectComplete(before, run);

interface Trouble {
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

const oom: Trouble = {
  begin: () => node.client.config('SET', 'maxmemory', '1'),
  end: () => node.client.config('SET', 'maxmemory', '0'),
};

/** Nothing can be saved where a folder stands. */
const misconf: Trouble = {
  async begin() {
    mkdirSync(join(node.directory, 'dump.rdb'));
    await node.client.config('SET', 'save', '3600 1');
    await node.client.bgsave();
    await waitFor('it to fail', async () =>
      (await node.client.info('persistence')).includes('rdb_last_bgsave_status:err'),
    );
  },
  async end() {
    rmdirSync(join(node.directory, 'dump.rdb'));
    await node.client.config('SET', 'save', '');
  },
};

const noReplicas: Trouble = {
  begin: () => node.client.config('SET', 'min-replicas-to-write', '1'),
  end: () => node.client.config('SET', 'min-replicas-to-write', '0'),
};

const troubles: [string, Trouble][] = [
  ['OOM', oom],
  ['MISCONF', misconf],
  ['NOREPLICAS', noReplicas],
];

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  const words = () => [...stage.endpoints, '--mover', mover];

  it.each(troubles)(
    'a node that answers %s for a while gets its keys later',
    async (_, trouble) => {
      // No key is on its way when the trouble begins.
      const run = await startListing({
        ...{ proxy, to: stage.cluster.seed },
        words: ['--mover', mover, '--retry-for', '10m'],
      });
      await trouble.begin();
      proxy.resume();
      const onlyTheirs = async () => {
        const left = await stage.source.client.keys('*');
        return left.length > 0 && left.every((key) => slotOf(key) < slotsOfNode) && left.length;
      };
      const refused = await unlessEnded(
        run,
        waitFor('the others to have theirs', onlyTheirs, { everyMs: 50 }),
      );
      await trouble.end();
      const result = reportOf(await run.done);
      await expectComplete(result);
      expect(result.report.retries).toBeGreaterThan(0);
      expect(result.stderr).toContain(`${node.address} refuses keys: left alone for now`);
      expect(refused).toBeGreaterThan(count / 6);
    },
  );

  it('a node that stays full is given up, and its keys stay', async () => {
    const theirs = [...before.keys()].filter((key) => slotOf(key) < slotsOfNode).length;
    await oom.begin();
    try {
      const { code, report } = await runJson([...words(), '--retry-for', '500ms']);
      expect(code).toBe(1);
      expect(report.keys).toMatchObject({ moved: count - theirs, failed: theirs });
      expect(report.failures[0]).toMatchObject({ class: 'oom' });
      expect(await stage.source.client.dbsize()).toBe(theirs);
    } finally {
      await oom.end();
    }
    await expectComplete(await runJson(words()));
  });

  it('a node that starts again, and loads for a while, gets the rest of its keys', async () => {
    // So that there is something to load.
    const filling = node.client.pipeline();
    for (let at = 0; at < 6000; at++) filling.set(`{${ownTag}}:${String(at)}`, 'x');
    await filling.exec();
    const run = await halfway('--mover', mover, '--replace');
    await node.crash();
    proxy.resume();
    await node.revive();
    expect(await node.client.info('errorstats')).toContain('errorstat_LOADING');
    const { code, report } = reportOf(await run.done);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(await stage.source.client.dbsize()).toBe(0);
    expect(await stage.cluster.size()).toBe(count + 6000);
  });
});

it('a node that hangs does not make MIGRATE block the source for each of its keys', async () => {
  const { client } = stage.source;
  const words = ['--mover', 'migrate', '--timeout', '1s', '--retry-for', '2s'];
  const run = await halfway(...words, '--max-block', '1');
  await client.config('RESETSTAT');
  process.kill(node.pid, 'SIGSTOP');
  try {
    proxy.resume();
    const { code } = reportOf(await run.done);
    expect(code).toBe(1);
    const stats = await client.info('commandstats');
    const failed = Number(/cmdstat_migrate:.*failed_calls=(\d+)/.exec(stats)?.[1]);
    expect(failed).toBeGreaterThan(0);
    expect(failed).toBeLessThan(20);
  } finally {
    process.kill(node.pid, 'SIGCONT');
  }
  await Promise.all(stage.cluster.nodes.map(isWell));
  // What MIGRATE gave up may have arrived all the same, and lives longer there.
  await expectComplete(await runJson([...stage.endpoints, '--mover', 'migrate', '--replace']));
});

it.each(['relay', 'migrate'])(
  'says how many keys may be on both sides when it is stopped while a node hangs, by %s',
  async (mover) => {
    // So slowly that there is always more to come.
    const words = ['--max-rate', '300', '--timeout', '1s', '--retry-for', '10m'];
    const run = startCli([...stage.endpoints, '--mover', mover, ...words, '--json']);
    const isUnderWay = async () => (await node.client.dbsize()) > 0;
    await unlessEnded(run, waitFor('keys to arrive', isUnderWay));
    process.kill(node.pid, 'SIGSTOP');
    try {
      await run.output(/left alone for now/);
      run.signal('SIGINT');
      const { code, report } = reportOf(await run.done);
      expect(code).toBe(130);
      process.kill(node.pid, 'SIGCONT');
      await Promise.all(stage.cluster.nodes.map(isWell));
      await leftAlone(node);
      const left = await stage.source.client.keys('*');
      const held = new Set(await node.client.keys('*'));
      const onBothSides = left.filter((key) => held.has(key)).length;
      expect(onBothSides).toBeGreaterThan(0);
      expect(report.onBothSides).toBeGreaterThanOrEqual(onBothSides);
    } finally {
      process.kill(node.pid, 'SIGCONT');
    }
    // What MIGRATE gave up lives longer where it has arrived.
    await expectComplete(await runJson([...stage.endpoints, '--replace']));
  },
);

/** Of slot 0, which the first node has. */
const ownTag = '3560';
/** How many slots, the first ones, are the first node's. */
const slotsOfNode = 5462;
