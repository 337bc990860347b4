/** A feed whose link is lost goes on where it was, or says that everything may have changed. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { ConnectionError, SourceError } from '../../../src/errors.js';
import { openControl } from '../../../src/redis/control.js';
import { parseEndpoint } from '../../../src/redis/endpoint.js';
import { waitFor } from '../../support/wait.js';
import { infoOf, listen, offsetOf, proxyFor, serverFor } from './listening.js';

const never = new AbortController().signal;
const gapWords = 'the link to the source was lost, and it no longer has what was missed';

it('goes on exactly where it was, though the link is cut in the midst of commands', async () => {
  const server = await serverFor(['repl-backlog-size 10mb']);
  const proxy = await proxyFor(server);
  const { feed, changes } = await listen(server, {}, proxy);
  await server.client.call('SELECT', '2');
  const expected: string[] = [];
  for (let round = 0; round < 20; round++) {
    proxy.faults.cutAfterBytes.down = 500 + 37 * round;
    for (let nth = 0; nth < 100; nth++) {
      const key = `${String(round)}-${String(nth)}`;
      expected.push(`2:${key}`);
      void server.client.set(key, 'v'.repeat(nth));
    }
    await server.client.ping();
    await waitFor('the cut', () => proxy.faults.cutAfterBytes.down === 0);
    proxy.faults.cutAfterBytes.down = Infinity;
    await feed.reached(await offsetOf(server), never);
  }
  expect(changes).toEqual(expected);
  expect(feed.gaps).toBe(0);
  expect(feed.offset).toBe(await offsetOf(server));
  expect(Number((await infoOf(server)).get('sync_partial_ok'))).toBeGreaterThanOrEqual(20);
  expect((await infoOf(server)).get('total_forks')).toBe('0');
});

it('has the source readied each time before it is joined', async () => {
  const server = await serverFor();
  const proxy = await proxyFor(server);
  let readied = 0;
  const prepare = async (): Promise<void> => {
    readied += 1;
    // A source may not be there yet: it is tried again.
    if (readied === 2) throw new ConnectionError('not yet');
    await turn();
  };
  const { feed } = await listen(server, { prepare }, proxy);
  expect(readied).toBe(1);
  proxy.cut();
  await waitFor('the link to be up again', () => readied === 3 && feed.isUp);
});

it('goes on within a value that is longer than is kept', async () => {
  const server = await serverFor(['repl-backlog-size 10mb']);
  const proxy = await proxyFor(server);
  const { feed, changes } = await listen(server, {}, proxy);
  proxy.faults.cutAfterBytes.down = 700_000;
  await server.client.set('a', Buffer.alloc(1_000_000, '\r\n'));
  await waitFor('the cut', () => proxy.faults.cutAfterBytes.down === 0);
  proxy.faults.cutAfterBytes.down = Infinity;
  await server.client.set('b', '1');
  await feed.reached(await offsetOf(server), never);
  expect(changes).toEqual(['0:a', '0:b']);
  expect(feed.gaps).toBe(0);
});

it('reports a gap as everything, and counts it, without a fork at the source', async () => {
  const server = await serverFor(['repl-backlog-size 16kb', 'repl-diskless-sync-delay 1']);
  const proxy = await proxyFor(server);
  const { feed, changes, reasons } = await listen(server, {}, proxy);
  await server.client.call('SELECT', '3');
  await server.client.set('a', '1');
  await waitFor('the change', () => changes.length > 0);
  proxy.faults.refuse = true;
  proxy.cut();
  await waitFor('the loss', () => !feed.isUp);
  await server.client.set('large', Buffer.alloc(1_000_000));
  const offset = await offsetOf(server);
  let reached = false;
  const waiting = feed.reached(offset, never).then(() => (reached = true));
  await waitFor('a try', () => proxy.refused > 1);
  expect(reached).toBe(false);
  proxy.faults.refuse = false;
  await waiting;
  expect(changes).toEqual(['3:a', '*:*']);
  expect(reasons).toEqual([gapWords]);
  await server.client.set('b', '1');
  await feed.reached(await offsetOf(server), never);
  expect(changes).toEqual(['3:a', '*:*', '3:b']);
  expect(feed).toMatchObject({ gaps: 1, isUp: true });
  const info = await infoOf(server);
  expect(info.get('total_forks')).toBe('0');
  // The one by which the backlog was made.
  expect(info.get('sync_full')).toBe('1');
  expect(info.get('sync_partial_err')).toBe('0');
});

it('survives a restart of the source that lost its history', async () => {
  const server = await serverFor(['repl-diskless-sync-delay 1']);
  const { feed, changes, since } = await listen(server);
  await server.client.set('a', '1');
  await since();
  const waiting = feed.reached(feed.offset + 1_000_000, never);
  const failed = expect(waiting).rejects.toThrow(SourceError);
  await server.crash();
  await waitFor('the loss', () => !feed.isUp);
  await server.revive();
  await failed;
  await waitFor('the gap', () => feed.gaps === 1);
  await server.client.set('b', '1');
  await since();
  expect(changes).toEqual(['0:a', '*:*', '0:b']);
});

it('has not caught up with a history that it has not joined yet', async () => {
  const server = await serverFor(['repl-diskless-sync-delay 1', 'appendonly yes']);
  const proxy = await proxyFor(server);
  const { feed, changes } = await listen(server, {}, proxy);
  // So that the offsets of the next history are far below.
  await server.client.set('a', Buffer.alloc(100_000));
  await feed.reached(await offsetOf(server), never);
  proxy.faults.refuse = true;
  proxy.cut();
  await waitFor('the loss', () => !feed.isUp);
  await server.client.set('unheard', '1');
  await server.crash();
  await server.revive();
  const endpoint = parseEndpoint(server.address, '--from');
  const control = await openControl(endpoint, { side: 'from', timeoutMs: 10_000 });
  onTestFinished(() => {
    control.close();
  });
  const caughtUp = (): Promise<void> => feed.caughtUp((work) => work(control), never);
  const failed = expect(caughtUp()).rejects.toThrow('began a new history');
  await waitFor('a try', () => proxy.refused > 1);
  proxy.faults.refuse = false;
  await failed;
  await caughtUp();
  expect(changes).toEqual(['0:a', '*:*']);
});

it('resumes from the position of an earlier feed', async () => {
  const server = await serverFor();
  const first = await listen(server);
  await server.client.call('SELECT', '5');
  await server.client.set('a', '1');
  await first.since();
  const resumeAt = JSON.parse(JSON.stringify(first.feed.position)) as typeof first.feed.position;
  first.feed.close();
  expect(resumeAt.db).toBe(5);
  await server.client.mset('b', '1', 'c', '1');
  const { since, feed } = await listen(server, { resumeAt });
  expect(await since()).toEqual(['5:b', '5:c']);
  expect(feed.gaps).toBe(0);
});

it('reports everything once where an earlier feed’s position is gone', async () => {
  const server = await serverFor();
  const resumeAt = { replicationId: 'f'.repeat(40), offset: 17, db: 5 };
  const { since, feed } = await listen(server, { resumeAt });
  expect(await since()).toEqual(['*:*']);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b']);
  expect(feed.gaps).toBe(1);
});

it('goes on at the replica that took its master’s place', async () => {
  const master = await serverFor(['repl-diskless-sync-delay 0']);
  const replica = await serverFor([`replicaof ${master.host} ${String(master.port)}`]);
  await waitFor('the replica', async () =>
    /master_link_status:up/.test(await replica.client.info()),
  );
  const first = await listen(master);
  await master.client.call('SELECT', '6');
  await master.client.set('a', '1');
  await first.since();
  await waitFor('the replica’s offset', async () => (await offsetOf(replica)) >= first.feed.offset);
  await master.crash();
  await replica.client.replicaof('NO', 'ONE');
  await replica.client.set('b', '1');
  const { since, feed } = await listen(replica, { resumeAt: first.feed.position });
  expect(await since()).toEqual(['0:b']);
  expect(feed.gaps).toBe(0);
  expect(feed.position.replicationId).toBe((await infoOf(replica)).get('master_replid'));
});

it('follows its Sentinels to the new master', async () => {
  const master = await serverFor(['repl-diskless-sync-delay 0']);
  const replica = await serverFor([`replicaof ${master.host} ${String(master.port)}`]);
  const monitor = `sentinel monitor main ${master.host} ${String(master.port)} 1`;
  const sentinel = await serverFor([monitor], { sentinel: true });
  await waitFor('the Sentinel to know the replica', async () => {
    const known = JSON.stringify(await sentinel.client.call('SENTINEL', 'replicas', 'main'));
    return known.includes(replica.address) && known.includes('"master-link-status","ok"');
  });
  const { host, port } = sentinel;
  const endpoints = [{ host, port, tls: false, db: 0 }];
  const endpoint = {
    ...endpoints[0],
    host: 'main',
    port: 1,
    tls: false,
    db: 0,
    sentinels: { name: 'main', endpoints, nat: [] },
  };
  const { feed, changes } = await listen(master, { endpoint });
  await master.client.set('a', '1');
  await waitFor('the replica', async () => (await replica.client.get('a')) === '1');
  // Alive, it would go on with a history of its own: Sentinels publish there, and leave it alone for ten seconds.
  await master.crash();
  await sentinel.client.call('SENTINEL', 'FAILOVER', 'main');
  await waitFor('the new master', async () => (await infoOf(replica)).get('role') === 'master');
  await replica.client.set('b', '1');
  await waitFor('the change', () => changes.includes('0:b'));
  expect(changes).toEqual(['0:a', '0:b']);
  expect(feed.gaps).toBe(0);
  const known = JSON.stringify(await sentinel.client.call('SENTINEL', 'replicas', 'main'));
  expect(known).not.toContain('"ip",""');
});

it('opens a link again over which nothing came for too long', async () => {
  const server = await serverFor();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  vi.useFakeTimers({ toFake: ['setInterval'] });
  const { feed, since, warnings } = await listen(server);
  vi.advanceTimersByTime(59_000);
  expect(feed.isUp).toBe(true);
  vi.advanceTimersByTime(3000);
  expect(feed.isUp).toBe(false);
  expect(warnings.join()).toMatch(/sent nothing/);
  await server.client.set('a', '1');
  expect(await since()).toEqual(['0:a']);
  expect(feed).toMatchObject({ gaps: 0, isUp: true });
});

it('ends when what it heard could not be taken note of', async () => {
  const server = await serverFor();
  const listener = {
    changed: () => {
      throw new Error('no room');
    },
    everything: () => undefined,
  };
  const { feed } = await listen(server, { listener });
  await server.client.set('a', '1');
  await expect(feed.ended).rejects.toThrow(/no room/);
  expect(feed.isUp).toBe(false);
});

it('gives up when the source does not come back', async () => {
  const server = await serverFor();
  const { feed } = await listen(server, { retryForMs: 200 });
  const waiting = feed.reached(feed.offset + 1000, never);
  const both = Promise.allSettled([waiting, feed.ended]);
  await server.crash();
  const outcomes = await both;
  for (const outcome of outcomes) {
    expect(outcome.status).toBe('rejected');
    const reason: unknown = outcome.status === 'rejected' && outcome.reason;
    expect(reason).toBeInstanceOf(SourceError);
    expect(String(reason)).toMatch(/could not be heard again within 0.2 s: Nothing listens at/);
  }
  await expect(feed.reached(0, never)).rejects.toThrow(SourceError);
});

it('lets go of those who wait when their signal comes, or when it is closed', async () => {
  const server = await serverFor();
  const { feed } = await listen(server);
  const stop = new AbortController();
  const one = feed.reached(feed.offset + 1000, stop.signal);
  const other = feed.reached(feed.offset + 1000, never);
  stop.abort(new Error('enough'));
  await expect(one).rejects.toThrow('enough');
  await expect(feed.reached(feed.offset, AbortSignal.abort(new Error('enough')))).rejects.toThrow(
    'enough',
  );
  let ended = false;
  void feed.ended.then(() => (ended = true));
  await turn();
  expect(ended).toBe(false);
  feed.close();
  await expect(other).rejects.toThrow(SourceError);
  await feed.ended;
  expect(feed.isUp).toBe(false);
});
