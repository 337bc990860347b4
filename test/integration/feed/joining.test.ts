/** A feed joins a source's stream without a full copy, whatever the source has and allows. */
import { expect, it } from 'vitest';
import { PreflightError } from '../../../src/errors.js';
import type { Server } from '../../support/servers.js';
import { waitFor } from '../../support/wait.js';
import { infoOf, listen, proxyFor, serverFor } from './listening.js';

async function expectNoFork(server: Server): Promise<void> {
  const info = await infoOf(server);
  expect(info.get('total_forks')).toBe('0');
  expect(info.get('latest_fork_usec')).toBe('0');
}

async function refused(joining: Promise<unknown>): Promise<string> {
  const error: unknown = await joining.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(PreflightError);
  return (error as PreflightError).message;
}

/** The time after which a server would have begun a copy for somebody who waits for it. */
async function delayPassed(server: Server): Promise<void> {
  const start = await infoOf(server);
  await waitFor('two seconds of the server', async () => {
    const now = await infoOf(server);
    return Number(now.get('uptime_in_seconds')) >= Number(start.get('uptime_in_seconds')) + 3;
  });
}

it('makes a backlog without a fork where there is none', async () => {
  const server = await serverFor(['repl-diskless-sync-delay 1']);
  await server.client.mset('a', '1');
  const { since, feed } = await listen(server);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b']);
  await delayPassed(server);
  await expectNoFork(server);
  const info = await infoOf(server);
  expect(info.get('repl_backlog_active')).toBe('1');
  expect(feed.position.replicationId).toBe(info.get('master_replid'));
  expect(feed).toMatchObject({ kind: 'replication', gaps: 0, isUp: true });
});

it('switches repl-diskless-sync on for that moment only', async () => {
  const server = await serverFor(['repl-diskless-sync no', 'repl-diskless-sync-delay 1']);
  const { since } = await listen(server);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b']);
  await delayPassed(server);
  await expectNoFork(server);
  expect(await server.client.config('GET', 'repl-diskless-sync')).toEqual([
    'repl-diskless-sync',
    'no',
  ]);
});

it('puts repl-diskless-sync back where PSYNC is refused', async () => {
  const server = await serverFor(['repl-diskless-sync no', 'rename-command PSYNC ""']);
  expect(await refused(listen(server))).toMatch(/has no command PSYNC/);
  expect(await server.client.config('GET', 'repl-diskless-sync')).toEqual([
    'repl-diskless-sync',
    'no',
  ]);
  await expectNoFork(server);
});

it('calls PSYNC by the name that a service gave it', async () => {
  const server = await serverFor();
  const proxy = await proxyFor(server);
  proxy.faults.corrupt = (chunk, direction) =>
    direction === 'down'
      ? chunk
      : Buffer.from(
          chunk
            .toString('latin1')
            .replace('\r\nPSYNC\r\n', '\r\nNOPE!\r\n')
            .replace('\r\nOTHER\r\n', '\r\nPSYNC\r\n'),
          'latin1',
        );
  expect(await refused(listen(server, {}, proxy))).toMatch(/has no command PSYNC/);
  const { since } = await listen(server, { psyncName: 'OTHER' }, proxy);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b']);
});

it('says that a server takes PSYNC for SYNC by any other name', async () => {
  const server = await serverFor(['rename-command PSYNC other', 'repl-diskless-sync-delay 1']);
  const message = await refused(listen(server, { psyncName: 'OTHER' }));
  expect(message).toMatch(/takes OTHER for SYNC/);
});

it('uses the backlog that there is', async () => {
  const server = await serverFor();
  const first = await listen(server);
  first.feed.close();
  const before = await infoOf(server);
  await server.client.call('SELECT', '9');
  await server.client.set('a', '1');
  const { since } = await listen(server);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['9:b']);
  const after = await infoOf(server);
  expect(after.get('master_replid')).toBe(before.get('master_replid'));
  expect(after.get('sync_full')).toBe(before.get('sync_full'));
  await expectNoFork(server);
});

it('knows the database even if the stream has not named it since long', async () => {
  const server = await serverFor();
  (await listen(server)).feed.close();
  await server.client.set('a', '1');
  await server.client.call('SELECT', '7');
  await server.client.set('a', '1');
  const { since, feed } = await listen(server);
  expect(feed.position.db).toBe(0);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['7:b']);
});

it.each([
  [['repl-diskless-sync-delay 0'], /set repl-diskless-sync-delay to 5 there\.$/],
  [['repl-diskless-sync-max-replicas 1'], /set repl-diskless-sync-max-replicas to 0 there\.$/],
])('says what to set where it would take a fork: %s', async (config, words) => {
  const server = await serverFor(config);
  const message = await refused(listen(server));
  expect(message).toMatch(words);
  expect(message).toContain(server.address);
  await expectNoFork(server);
});

it('can do without CONFIG', async () => {
  const server = await serverFor(['rename-command CONFIG ""']);
  const { since } = await listen(server);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b']);
  await expectNoFork(server);
});

it('needs few rights', async () => {
  const server = await serverFor();
  const rights = ['+psync', '+replconf', '+info', '+publish', '&cluster-import:*'];
  await server.client.call('ACL', 'SETUSER', 'follower', 'on', '>secret', 'resetkeys', ...rights);
  const { host, port } = server;
  const endpoint = { host, port, tls: false, db: 0, username: 'follower', password: 'secret' };
  const { since } = await listen(server, { endpoint });
  await server.client.mset('a', '1', 'b', '1');
  expect(await since()).toEqual(['0:a', '0:b']);
  const denied = async (right: string): Promise<string> => {
    await server.client.call('ACL', 'SETUSER', 'follower', right);
    const message = await refused(listen(server, { endpoint }));
    await server.client.call('ACL', 'SETUSER', 'follower', right.replace('-', '+'));
    expect(message).not.toContain('secret');
    return message;
  };
  for (const command of ['psync', 'replconf', 'info']) {
    expect(await denied(`-${command}`)).toBe(
      `${server.address} does not let user follower run ${command.toUpperCase()}: allow it with ACL SETUSER follower +${command}.`,
    );
  }
  const wrong = await refused(listen(server, { endpoint: { ...endpoint, password: 'wrong-one' } }));
  expect(wrong).toMatch(/refuses the password of user follower: give the right one in .*\.$/);
  expect(wrong).not.toContain('wrong-one');
});

it('names a key in every database that has keys where it may not publish', async () => {
  const server = await serverFor();
  (await listen(server)).feed.close();
  await server.client.set('a', '1');
  await server.client.call('SELECT', '4');
  await server.client.set('a', '1');
  await server.client.call('ACL', 'SETUSER', 'default', '-publish');
  const { since, warnings, feed } = await listen(server);
  expect(warnings.join()).toMatch(/does not let us publish/);
  expect(feed.position.db).toBe(-1);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b', '4:b']);
  await server.client.call('SELECT', '0');
  await server.client.set('c', '1');
  expect(await since()).toEqual(['0:c']);
  expect(feed.position.db).toBe(0);
});

it('finds the database that was empty when it joined without a right to publish', async () => {
  const server = await serverFor();
  (await listen(server)).feed.close();
  await server.client.set('a', '1');
  await server.client.call('SELECT', '4');
  await server.client.set('a', '1');
  await server.client.del('a');
  await server.client.call('ACL', 'SETUSER', 'default', '-publish');
  const { since } = await listen(server);
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b', '4:*']);
  await server.client.set('c', '1');
  expect(await since()).toEqual(['0:c', '4:c']);
});

it('keeps its link to a server that is strict with silent replicas', async () => {
  const server = await serverFor(['repl-timeout 2']);
  const { feed, warnings } = await listen(server);
  const { heardAtMs } = feed;
  await delayPassed(server);
  await delayPassed(server);
  const info = await infoOf(server);
  expect(info.get('connected_slaves')).toBe('1');
  expect(info.get('sync_partial_ok')).toBe('1');
  expect(feed.isUp).toBe(true);
  expect(feed.heardAtMs).toBeGreaterThanOrEqual(heardAtMs);
  expect(warnings).toEqual([]);
});

it('hears a replica too', async () => {
  const master = await serverFor(['repl-diskless-sync-delay 0']);
  const replica = await serverFor([`replicaof ${master.host} ${String(master.port)}`]);
  await waitFor('the replica', async () =>
    /master_link_status:up/.test(await replica.client.info()),
  );
  await master.client.set('a', '1');
  await waitFor('the key', () => replica.client.get('a'));
  const { since } = await listen(replica);
  await master.client.set('b', '1');
  await waitFor('the key', () => replica.client.get('b'));
  expect(await since()).toEqual(['0:b']);
});

it('is no replica that a client waits for', async () => {
  const server = await serverFor();
  const { since } = await listen(server);
  await server.client.set('a', '1');
  await since();
  expect(await server.client.wait(1, 300)).toBe(0);
  // The question for acknowledgements stands in the stream, and counts in its offset.
  await server.client.set('b', '1');
  expect(await since()).toEqual(['0:b']);
});

it('has no address that Sentinels could list', async () => {
  const server = await serverFor();
  await listen(server);
  const role = (await server.client.call('ROLE')) as unknown[];
  expect(role[2]).toEqual([['', '0', '0']]);
});

it('says that nothing listens there', async () => {
  const server = await serverFor();
  const proxy = await proxyFor(server);
  await proxy.stop();
  const message = await refused(listen(server, {}, proxy));
  expect(message).toBe(`Nothing listens at ${proxy.address}: start the server, or correct --from.`);
});
