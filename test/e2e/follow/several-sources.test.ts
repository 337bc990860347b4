/** Following several servers, several databases, a cluster, and a replica in its master's place. */
import { Cluster } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { type Application, startApplication } from '../../support/application.js';
import { fillMixed } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { type ClusterNode, startCluster } from '../../support/cluster.js';
import { followingRuns } from '../../support/following.js';
import { reportOf } from '../../support/reports.js';
import { beginSlotMove, failOver, moveSlot } from '../../support/reshard.js';
import { type Server, startServer, using } from '../../support/servers.js';
import { slotOf } from '../../support/keys.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const runs = followingRuns();
const { ctl, status, until } = runs;
let application: Application | undefined;
let client: Cluster | undefined;

afterEach(async () => {
  client?.disconnect();
  client = undefined;
  await application?.stop();
  application = undefined;
  // A cutover leaves it refusing writes.
  await stage.source.client.config('SET', 'min-replicas-to-write', 0);
});

const valueOf = (key: string) => stage.cluster.clientFor(key).get(key);

describe('several servers', () => {
  it('are cut over at one moment, with everything that each has acknowledged', async () => {
    await using(startServer(), async (other) => {
      await stage.source.client.set('here', 'x');
      await fillMixed(other, 2000);
      const counting = [counter(stage.source, 'one'), counter(other, 'two')];
      const run = runs.start([...stage.endpoints, '--from', other.address], '--cutover', 'auto');
      const { code, report } = reportOf(await run.done);
      const counts = await Promise.all(counting);
      expect([code, report.status, report.failures]).toEqual([0, 'complete', []]);
      expect(report.follow?.cutover).toMatchObject({
        fence: 'pause',
        lateWrites: 0,
        source: 'refuses writes',
        minReplicasToWrite: { [stage.source.address]: 0, [other.address]: 0 },
      });
      expect(await Promise.all(['one', 'two'].map(valueOf))).toEqual(counts.map(String));
      expect(await stage.cluster.size()).toBe(2001 + 2);
    });
  });

  it('all go on writing where one of them can not be held', async () => {
    await using(startServer(), async (other) => {
      await Promise.all([stage.source.client.set('a', 'x'), other.client.set('b', 'x')]);
      const run = runs.start([...stage.endpoints, '--from', other.address], '--fence', 'refuse');
      await until('following');
      await other.client.call('ACL', 'SETUSER', 'default', '-config');
      const { code, stderr } = await ctl('cutover');
      expect(code).toBe(2);
      expect(stderr).toContain('No cutover');
      await stage.source.client.set('a', 'y');
      await other.client.set('b', 'y');
      await other.client.call('ACL', 'SETUSER', 'default', '+config');
      expect((await ctl('cutover')).code).toBe(0);
      expect((await run.done).code).toBe(0);
      expect(await Promise.all(['a', 'b'].map(valueOf))).toEqual(['y', 'y']);
    });
  });

  it('go on where they were stopped, once no two of them can have a key of one name', async () => {
    await using(startServer(), async (other) => {
      const endpoints = [...stage.endpoints, '--from', other.address, '--key-prefix', '{from}:'];
      await Promise.all([stage.source.client.set('a', 'x'), other.client.set('a', 'y')]);
      const stopped = runs.start(endpoints);
      await until('following');
      stopped.signal('SIGINT');
      expect((await stopped.done).code).toBe(130);
      await stage.source.client.set('a', 'z');
      await other.client.del('a');
      const { code, report } = reportOf(await runs.start(endpoints, '--cutover', 'auto').done);
      expect(code).toBe(0);
      expect(report).toMatchObject({
        keys: { scanned: 0 },
        follow: { copiedAgain: 1, deleted: 1, gaps: 0 },
      });
      expect(await valueOf(`${stage.source.address}:a`)).toBe('z');
      expect(await stage.cluster.size()).toBe(1);
    });
  });

  it('keep what was deleted unheard out of the cluster', async () => {
    await using(startServer(), async (other) => {
      const endpoints = [...stage.endpoints, '--from', other.address];
      await Promise.all([stage.source.client.set('a', 'x'), other.client.mset('b', 'x', 'c', 'x')]);
      const killed = runs.start(endpoints);
      await until('following');
      killed.signal('SIGKILL');
      await killed.done;
      await other.client.del('b');
      const { code } = reportOf(await runs.start(endpoints, '--cutover', 'auto').done);
      expect(code).toBe(0);
      expect(await Promise.all(['a', 'b', 'c'].map(valueOf))).toEqual(['x', null, 'x']);
    });
  });

  it('have keys again that were deleted unheard', async () => {
    await using(startServer(), async (other) => {
      const endpoints = [...stage.endpoints, '--from', other.address];
      const setAll = (value: string) =>
        Promise.all([stage.source.client.set('a', value), other.client.set('b', value)]);
      await setAll('x');
      const killed = runs.start(endpoints);
      await until('following');
      killed.signal('SIGKILL');
      await killed.done;
      await Promise.all([stage.source.client.del('a'), other.client.del('b')]);
      const run = runs.start(endpoints);
      await until('following');
      await waitFor('the cluster to lack them', async () => (await stage.cluster.size()) === 0);
      // Whose they are is told by who has them now.
      await setAll('y');
      expect((await runs.cutOver(run)).code).toBe(0);
      expect(await Promise.all(['a', 'b'].map(valueOf))).toEqual(['y', 'y']);
    });
  });

  it('are not cut over while two of them have a key of one name', async () => {
    await using(startServer(), async (other) => {
      await Promise.all([stage.source.client.set('same', 'x'), other.client.set('same', 'y')]);
      const run = runs.start([...stage.endpoints, '--from', other.address]);
      await until('following');
      const { code, stderr } = await ctl('cutover');
      expect(code).toBe(2);
      expect(stderr).toContain('another source has, or had, a key of this name');
      // Nobody overwrites what the other had first, however often it changes.
      const copied = await valueOf('same');
      const [first, second] =
        copied === 'x' ? [stage.source, other] : ([other, stage.source] as const);
      await second.client.set('same', 'z');
      await second.client.set('later', 'x');
      await waitFor('the next key', async () => (await valueOf('later')) === 'x');
      expect(await valueOf('same')).toBe(copied);
      await second.client.del('same');
      await first.client.set('same', 'last');
      expect((await runs.cutOver(run)).code).toBe(0);
      expect(await valueOf('same')).toBe('last');
    });
  });
});

describe('several databases of one server', () => {
  it('are cut over together, under names that tell them apart', async () => {
    const { client } = stage.source;
    const other = client.duplicate({ db: 3 });
    await Promise.all([client.set('a', 'zero'), other.set('a', 'three')]);
    const words = ['--db', '0,3', '--key-prefix', '{db}:'];
    runs.start([...stage.endpoints, ...words]);
    await until('following');
    await client.call('MOVE', 'a', 5);
    await other.set('b', 'x');
    await client.swapdb(0, 3);
    await client.set('c', 'x');
    expect((await ctl('cutover')).code).toBe(0);
    const held = await Promise.all(['0:a', '0:b', '0:c', '3:a', '3:b'].map(valueOf));
    expect(held).toEqual(['three', 'x', 'x', null, null]);
    other.disconnect();
  });

  it.each(['tracking', 'notifications'])('are followed by %s', async (feed) => {
    const { client } = stage.source;
    await client.config('SET', 'notify-keyspace-events', 'AKE');
    const other = client.duplicate({ db: 3 });
    await Promise.all([client.set('a', 'x'), other.set('a', 'x')]);
    runs.start([...stage.endpoints, '--db', '0,3', '--key-prefix', '{db}:', '--feed', feed]);
    await until('following');
    await client.set('a', 'y');
    await other.xadd('jobs', '1-1', 'n', '1');
    await other.xgroup('CREATE', 'jobs', 'workers', 0);
    await other.xreadgroup('GROUP', 'workers', 'one', 'STREAMS', 'jobs', '>');
    expect((await ctl('cutover')).code).toBe(0);
    expect(await Promise.all(['0:a', '3:a'].map(valueOf))).toEqual(['y', 'x']);
    const pending = await stage.cluster.clientFor('3:jobs').xpending('3:jobs', 'workers');
    expect(pending[0]).toBe(1);
    other.disconnect();
  });
});

describe('a selection', () => {
  it('is followed under its new names, and nothing else is', async () => {
    const { client } = stage.source;
    await client.mset('app:a', 'x', 'app:tmp:b', 'x', 'other:c', 'x');
    const words = ['--match', 'app:*', '--exclude', 'app:tmp:*', '--key-prefix', 'new:'];
    runs.start([...stage.endpoints, ...words]);
    await until('following');
    await client.mset('app:a', 'y', 'app:d', 'y', 'app:tmp:b', 'y', 'other:c', 'y');
    expect((await ctl('cutover')).code).toBe(0);
    expect(await Promise.all(['new:app:a', 'new:app:d'].map(valueOf))).toEqual(['y', 'y']);
    expect(await stage.cluster.size()).toBe(2);
  });
});

describe('a cluster as source', () => {
  it('is followed while its slots move', async () => {
    await using(startCluster(), async (from) => {
      client = new Cluster(from.masters.map(({ host, port }) => ({ host, port })));
      const slot = slotOf('{moving}');
      const keys = [...Array(50).keys()].map((n) => `{moving}${String(n)}`);
      for (const key of keys) await client.set(key, 'x');
      await client.set('elsewhere', 'x');
      const endpoints = ['--from-cluster', from.seed, '--to', stage.cluster.seed];
      const run = runs.start(endpoints);
      await until('following');
      const owner = await from.ownerOf(slot);
      const other = from.masters.find((node) => node !== owner) as (typeof from.masters)[number];
      const move = await beginSlotMove(from, slot, other);
      const migrate = (...some: string[]) =>
        owner.client.call('MIGRATE', other.host, other.port, '', 0, 5000, 'KEYS', ...some);
      await migrate(...keys.slice(0, 20));
      // What has gone ahead is not readable for us until its slot has come: it stays where it is.
      const { code, stderr } = await ctl('cutover');
      expect([code, stderr]).toEqual([2, expect.stringContaining('could not be copied')]);
      expect(await stage.cluster.size()).toBe(51);
      await client.set(keys[0] as string, 'y');
      // One at a time: several keys of a slot that moves are refused.
      await client.del(keys[1] as string);
      await client.del(keys[30] as string);
      await move.finish();
      await client.set(keys[2] as string, 'y');
      await client.del(keys[3] as string);
      const { report } = reportOf(await runs.cutOver(run));
      expect(report.follow?.cutover).toMatchObject({ lateWrites: 0, source: 'refuses writes' });
      expect(await Promise.all(keys.slice(0, 5).map(valueOf))).toEqual(['y', null, 'y', null, 'x']);
      expect(await stage.cluster.size()).toBe(48);
    });
  });

  it('is rid of what was deleted unheard, wherever its slot has gone since', async () => {
    await using(startCluster({ replicasPerMaster: 1 }), async (from) => {
      const [first, second, last] = from.masters as [ClusterNode, ClusterNode, ClusterNode];
      const [replica] = from.replicas[2] as [ClusterNode];
      await last.client.mset('{moving}gone', 'x', '{moving}kept', 'x');
      const endpoints = ['--from-cluster', from.seed, '--to', stage.cluster.seed];
      const stopped = runs.start(endpoints);
      await until('following');
      stopped.signal('SIGINT');
      expect((await stopped.done).code).toBe(130);
      await last.client.del('{moving}gone');
      // What has changed here is not known at the next start; the slot's new master tells all of itself.
      await failOver(from, replica);
      await moveSlot({ ...from, masters: [first, second, replica] }, slotOf('{moving}'), first);
      const { code } = reportOf(await runs.start(endpoints, '--cutover', 'auto').done);
      expect(code).toBe(0);
      expect(await Promise.all(['{moving}gone', '{moving}kept'].map(valueOf))).toEqual([null, 'x']);
    });
  });

  it('is not cut over while a master of it is not followed', async () => {
    await using(startCluster({ replicasPerMaster: 1 }), async (from) => {
      const [[replica]] = from.replicas as [[ClusterNode]];
      const [before] = from.masters as [ClusterNode];
      runs.start(['--from-cluster', from.seed, '--to', stage.cluster.seed]);
      await until('following');
      await failOver(from, replica);
      // The one before tells of it, and does not let us read it.
      const key = [...Array(100).keys()].map(String).find((one) => slotOf(one) < 5000) as string;
      await replica.client.set(key, 'x');
      await waitFor('the write', async () => (await before.client.dbsize()) === 1);
      const { code, stderr } = await ctl('cutover');
      expect(code).toBe(2);
      expect(stderr).toContain(`${replica.address} has become a master of the source cluster`);
    });
  });
});

describe('a master of a source cluster', () => {
  it('has its keys compared again after it was replaced for a while', async () => {
    await using(startCluster({ replicasPerMaster: 1 }), async (from) => {
      const [[replica]] = from.replicas as [[ClusterNode]];
      const [master] = from.masters as [ClusterNode];
      const [gone, kept] = [...Array(100).keys()]
        .map(String)
        .filter((key) => slotOf(key) < 5000) as [string, string];
      await master.client.set(gone, 'x');
      await master.client.set(kept, 'x');
      const run = runs.start(['--from-cluster', from.seed, '--to', stage.cluster.seed]);
      await until('following');
      await failOver(from, replica);
      // It comes back with all that the other one has, and nothing tells what that had lost meanwhile.
      await master.crash();
      await replica.client.del(gone);
      await replica.client.set(kept, 'y');
      await master.revive();
      await waitFor('the replica', async () =>
        (await master.client.info('replication')).includes('master_link_status:up'),
      );
      await waitFor('what was missed to be looked for', async () => {
        const { gaps = 0, changedKeys = null } = (await status())?.follow ?? {};
        return gaps > 0 && changedKeys !== null;
      });
      await failOver(from, master);
      expect((await runs.cutOver(run)).code).toBe(0);
      expect(await Promise.all([gone, kept].map(valueOf))).toEqual([null, 'y']);
    });
  });
});

describe('a replica', () => {
  it('is read in the place of its master, whose writes are held', async () => {
    await using(startServer(), async (replica) => {
      const { host, port, client } = stage.source;
      await fillMixed(stage.source, 1000);
      await replica.client.call('REPLICAOF', host, port);
      await waitFor('the replica', async () => {
        return (await replica.client.info('replication')).includes('master_link_status:up');
      });
      application = startApplication(stage.source);
      await client.config('RESETSTAT');
      const endpoints = ['--from', replica.address, '--to', stage.cluster.seed];
      const { code, report } = reportOf(await runs.start(endpoints, '--cutover', 'auto').done);
      const refusals = await application.ended;
      expect([code, report.status]).toEqual([0, 'complete']);
      expect(report.follow?.cutover).toMatchObject({ lateWrites: 0, source: 'refuses writes' });
      for (const refusal of refusals) expect(refusal).toMatch(/NOREPLICAS|EXECABORT/);
      // No value was read at the master.
      expect(await client.info('commandstats')).not.toMatch(/cmdstat_(dump|get|mget|scan):/);
      const counted = await client.keys('counter:*');
      for (const key of counted) expect(await valueOf(key)).toBe(await client.get(key));
      expect(counted.length).toBeGreaterThan(10);
    });
  });

  it('is refused where its master can not be reached', async () => {
    await using(startServer(), async (replica) => {
      await replica.client.call('REPLICAOF', '127.0.0.1', 1);
      const endpoints = ['--from', replica.address, '--to', stage.cluster.seed];
      const { code, stderr } = await runCli([...endpoints, '--follow'], runs.env());
      expect(code).toBe(2);
      expect(stderr).toContain('127.0.0.1:1');
      expect(stderr.trimEnd()).not.toContain('\n');
    });
  });
});

/** Counts at a server until it is refused. @returns what was acknowledged. */
async function counter({ client }: Server, key: string): Promise<number> {
  for (let count = 0; ; count++) {
    try {
      await client.incr(key);
    } catch {
      return count;
    }
  }
}
