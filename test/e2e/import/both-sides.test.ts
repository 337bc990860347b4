/**
 * Clients on both sides: some use the cluster for keys that have arrived there while others still write
 * at the source. What either side has acknowledged is found afterwards, once.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { type CliRun, startCli } from '../../support/cli.js';
import { unlessEnded } from '../../support/halfway.js';
import { whenListed } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { reportOf, runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const names = Array.from({ length: 120 }, (_, nth) => `count:${String(nth)}`);
const at = (name: string) => stage.cluster.clientFor(name);

beforeEach(async () => {
  await fillStrings(stage.source, { count: 6000, valueBytes: 100, prefix: 'fill:' });
});

/** Works until told to stop, without ever waiting. */
function keepOn(work: () => Promise<unknown>): () => Promise<void> {
  const end = new AbortController();
  const working = (async () => {
    while (!end.signal.aborted) await work();
  })();
  return async () => {
    end.abort();
    await working;
  };
}

const ifThere = `if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('INCR', KEYS[1]) end return -1`;

describe.each([['relay'], ['migrate'], ['relay --verify']])('by %s', (words) => {
  it('no INCR in the cluster is lost while others write other keys at the source', async () => {
    for (const name of names) await stage.source.client.set(name, '1000');
    const acknowledged = new Map(names.map((name) => [name, 0]));
    let other = 0;
    const stops = [
      keepOn(() => stage.source.client.set(`hot:${String(other++ % 50)}`, 'y')),
      keepOn(() =>
        Promise.all(
          names.map(async (name) => {
            const reply = Number(await at(name).eval(ifThere, 1, name));
            if (reply > 0) acknowledged.set(name, (acknowledged.get(name) ?? 0) + 1);
          }),
        ),
      ),
    ];
    const { report } = await runJson([...stage.endpoints, '--mover', ...words.split(' ')]);
    for (const stop of stops) await stop();
    // Only what was written anew at the source is left there.
    const left = report.failures.filter(({ key }) => !key.startsWith('hot:'));
    expect(left).toEqual([]);
    const sums = await Promise.all(names.map((name) => at(name).get(name)));
    expect(sums.map(Number)).toEqual(names.map((name) => 1000 + (acknowledged.get(name) ?? 0)));
    expect([...acknowledged.values()].reduce((sum, one) => sum + one, 0)).toBeGreaterThan(0);
  });

  it('jobs that were taken in the cluster are not handed out again', async () => {
    const jobs = Array.from({ length: 200 }, (_, nth) => `job ${String(nth)}`);
    const lists = ['jobs:1', 'jobs:2', 'jobs:3', 'jobs:4'];
    for (const list of lists) await stage.source.client.rpush(list, ...jobs);
    const taken = new Map(lists.map((list) => [list, [] as string[]]));
    let other = 0;
    const stops = [
      keepOn(() => stage.source.client.set(`hot:${String(other++ % 50)}`, 'y')),
      ...lists.map((list) =>
        keepOn(async () => {
          const job = await at(list).lpop(list);
          if (job !== null) taken.get(list)?.push(job);
        }),
      ),
    ];
    await runJson([...stage.endpoints, '--mover', ...words.split(' ')]);
    await waitFor('all jobs to be taken', () =>
      lists.every((list) => (taken.get(list)?.length ?? 0) >= jobs.length),
    );
    for (const stop of stops) await stop();
    for (const list of lists) expect(taken.get(list)).toEqual(jobs);
    expect(await stage.source.client.exists(...lists)).toBe(0);
  });
});

describe('a key that comes back at the source after it was moved', () => {
  let proxy: Proxy;
  let run: CliRun | undefined;

  it.each([
    ['the value that its copy has', '1'],
    ['another value', '5'],
  ])('stays there, and its copy too, with %s', async (_, value) => {
    for (const name of names) await stage.source.client.set(name, '1');
    proxy = await startProxy(stage.source);
    try {
      const args = ['--from', proxy.address, '--to', stage.cluster.seed, '--json', '--quiet'];
      run = startCli([...args, '--mover', 'relay', '--max-rate', '2000']);
      // The first that has left the source is counted up anew there.
      const back = await waitFor('a counter to leave the source', async () => {
        const there = await Promise.all(names.map((name) => stage.source.client.exists(name)));
        return names[there.indexOf(0)];
      });
      // It should not be over before.
      run.signal('SIGSTOP');
      for (let count = 0; count < Number(value); count++) await stage.source.client.incr(back);
      run.signal('SIGCONT');
      const { code, report } = reportOf(await run.done);
      expect(report.failures.map(({ key, class: why }) => [key, why])).toEqual([
        [back, 'recreated'],
      ]);
      expect(code).toBe(1);
      expect(await stage.source.client.get(back)).toBe(value);
      expect(await at(back).get(back)).toBe('1');
    } finally {
      run?.signal('SIGKILL');
      await proxy.stop();
    }
  });
});

it('leaves a key alone that a client of the cluster made there first', async () => {
  const { client } = stage.source;
  await client.set('count:0', '1000');
  const proxy = await startProxy(stage.source);
  try {
    const made = whenListed(proxy, 'count:0', async () => {
      await at('count:0').set('count:0', '1');
    });
    const { report } = await runJson(['--from', proxy.address, '--to', stage.cluster.seed]);
    await made;
    expect(report.failures).toMatchObject([{ key: 'count:0', class: 'conflict' }]);
    expect([await at('count:0').get('count:0'), await client.get('count:0')]).toEqual([
      '1',
      '1000',
    ]);
  } finally {
    await proxy.stop();
  }
});

it('leaves a key of the cluster’s own alone, though it looks like what was sent when a connection was lost', async () => {
  const { client } = stage.source;
  await client.flushall();
  await client.set('count:0', '1');
  const node = at('count:0');
  await node.set('count:0', '1');
  const proxy = await startProxy(stage.source);
  try {
    const held = whenListed(proxy, 'count:0', async () => {
      await node.call('CLIENT', 'PAUSE', '600000', 'WRITE');
    });
    const ends = ['--from', proxy.address, '--to', stage.cluster.seed, '--no-replace'];
    const run = startCli([...ends, '--mover', 'relay', '--json', '--quiet']);
    await unlessEnded(run, held);
    const isSent = async () => !(await node.info('clients')).includes('blocked_clients:0');
    await unlessEnded(run, waitFor('the key to be sent', isSent));
    await client.set('count:0', '0');
    await node.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await node.call('CLIENT', 'UNPAUSE');
    const { code, report } = reportOf(await run.done);
    expect(await node.get('count:0')).toBe('1');
    expect(await client.get('count:0')).toBe('0');
    expect(report.failures).toMatchObject([{ key: 'count:0', class: 'conflict' }]);
    expect(code).toBe(1);
  } finally {
    await proxy.stop();
  }
});

describe('a copy that clients of the cluster have deleted while the source refused to delete its key', () => {
  let proxy: Proxy;

  /** A run that has stored its one key, and waits for the source. Nothing of it passes until `resume`. */
  async function waiting(words: readonly string[]): Promise<CliRun> {
    const { client } = stage.source;
    await client.flushall();
    await client.rpush('jobs', 'one', 'two', 'three');
    const refusing = whenListed(proxy, 'jobs', async () => {
      await client.config('SET', 'min-replicas-to-write', '1');
    });
    const ends = ['--from', proxy.address, '--to', stage.cluster.seed];
    const run = startCli([...ends, ...words, '--mover', 'relay', '--json', '--quiet']);
    await unlessEnded(run, refusing);
    const isThere = async () => (await at('jobs').llen('jobs')) === 3;
    await unlessEnded(run, waitFor('the copy', isThere));
    await unlessEnded(run, run.output(/refuses|refused|waiting/i));
    proxy.stall();
    expect(await at('jobs').lpop('jobs', 3)).toEqual(['one', 'two', 'three']);
    await client.config('SET', 'min-replicas-to-write', '0');
    return run;
  }

  beforeEach(async () => {
    proxy = await startProxy(stage.source);
  });
  afterEach(async () => {
    await stage.source.client.config('SET', 'min-replicas-to-write', '0');
    await proxy.stop();
  });

  it.each([[[]], [['--verify']]])(
    'is not stored anew, though connections to its node were closed, with %j',
    async (words) => {
      const run = await waiting(words);
      // As servers do it with connections that are idle for longer than their `timeout`.
      const kill = ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'] as const;
      for (const node of stage.cluster.masters) await node.client.call(...kill);
      proxy.resume();
      const { code, report } = reportOf(await run.done);
      expect(report.failures).toEqual([]);
      expect(code).toBe(0);
      expect(await stage.source.client.dbsize()).toBe(0);
      expect(await at('jobs').exists('jobs')).toBe(0);
    },
  );

  it('leaves the key at the source if that was written to, and reports it', async () => {
    const run = await waiting([]);
    await stage.source.client.rpush('jobs', 'four');
    proxy.resume();
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(1);
    expect(report.failures).toMatchObject([{ key: 'jobs', class: 'diverged' }]);
    expect(report.failures[0]?.message).toMatch(/deleted in the cluster/);
    expect(await stage.source.client.lrange('jobs', 0, -1)).toEqual([
      'one',
      'two',
      'three',
      'four',
    ]);
    expect(await at('jobs').exists('jobs')).toBe(0);
  });
});
