/** Following a live source, and cutting over to the cluster while its clients write. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import { type Application, startApplication } from '../../support/application.js';
import { fillMixed } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { isWell } from '../../support/cluster.js';
import { snapshot } from '../../support/compare.js';
import { followingRuns } from '../../support/following.js';
import { reportOf } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const runs = followingRuns();
const { ctl, env, status, until } = runs;
const cli = findRedis('redis-cli') ?? '';
let application: Application | undefined;

afterEach(async () => {
  await application?.stop();
  application = undefined;
  // A cutover leaves it refusing writes.
  await stage.source.client.config('SET', 'min-replicas-to-write', 0);
  await stage.source.client.config('SET', 'min-replicas-max-lag', 10);
});

const follow = (...words: string[]) => runs.start(stage.endpoints, ...words);

/** Everything that the source has acknowledged is in the cluster, and nothing else. */
async function expectEqual(): Promise<void> {
  // What expires meanwhile does so on both sides, though not at the same moment.
  const lasting = async () => {
    const all = await snapshot(stage.source.client);
    return new Map([...all].filter(([key]) => !key.startsWith('short:')));
  };
  const missing = await stage.missingIn(await lasting());
  expect(missing.filter((line) => !line.startsWith('"short:'))).toEqual([]);
}

describe('a run with --follow', () => {
  it('cuts over by itself, with everything that the source has acknowledged', async () => {
    await fillMixed(stage.source, 5000);
    application = startApplication(stage.source);
    const { code, report } = reportOf(await follow('--cutover', 'auto').done);
    const refusals = await application.ended;
    expect(code).toBe(0);
    expect(report).toMatchObject({ status: 'complete', mode: 'follow', failures: [] });
    expect(report.follow?.cutover).toMatchObject({
      fence: 'pause',
      lateWrites: 0,
      source: 'refuses writes',
    });
    expect(report.follow?.changes).toBeGreaterThan(0);
    for (const refusal of refusals) expect(refusal).toMatch(/NOREPLICAS|EXECABORT/);
    expect(application.acknowledged).toBeGreaterThan(100);
    await expectEqual();
  });

  it('cuts over while writes are refused, where that is asked for', async () => {
    await fillMixed(stage.source, 1000);
    application = startApplication(stage.source);
    const { code, report } = reportOf(await follow('--cutover', 'auto', '--fence', 'refuse').done);
    await application.ended;
    expect(code).toBe(0);
    expect(report.follow?.cutover).toMatchObject({ fence: 'refuse', source: 'refuses writes' });
    await expectEqual();
  });

  it('cuts over when it is told to, and waits for the command that switches the clients', async () => {
    await fillMixed(stage.source, 2000);
    application = startApplication(stage.source);
    const mark = join(runs.folder, 'switched');
    const run = follow('--on-cutover', `test ! -e ${mark} && echo once > ${mark} && exit 3`);
    await until('following');
    // The first time the command fails: writes go on, and so does following.
    const first = await ctl('cutover');
    expect(first).toMatchObject({ code: 2, stdout: '' });
    expect(first.stderr).toContain('No cutover: --on-cutover ended with 3.');
    const before = application.acknowledged;
    await waitFor('writes to go on', () => (application?.acknowledged ?? 0) > before + 50);
    expect((await status())?.follow?.phase).toBe('following');
    // The second time it fails for another reason, and the third time it is well.
    rmSync(mark);
    expect((await ctl('cutover')).code).toBe(2);
    run.signal('SIGINT');
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(130);
    expect(report).toMatchObject({ status: 'interrupted', follow: { cutover: null } });
  });

  it('lets writes go on when they have been held for too long', async () => {
    await fillMixed(stage.source, 1000);
    application = startApplication(stage.source);
    follow('--on-cutover', 'sleep 60', '--max-hold', '700ms');
    await until('following');
    const { code, stderr } = await ctl('cutover');
    expect(code).toBe(2);
    expect(stderr).toContain('writes were held for 700 ms (--max-hold)');
    const before = application.acknowledged;
    await waitFor('writes to go on', () => (application?.acknowledged ?? 0) > before + 50);
    expect((await status())?.follow?.phase).toBe('following');
  });

  it('lets writes go on when it is told to', async () => {
    await fillMixed(stage.source, 1000);
    application = startApplication(stage.source);
    follow('--on-cutover', 'sleep 60', '--max-hold', '1m');
    await until('following');
    const { ended: cutover } = await runs.hold();
    expect((await ctl('release')).code).toBe(0);
    expect((await cutover).stderr).toContain('`ctl release` has let writes go on');
    const before = application.acknowledged;
    await waitFor('writes to go on', () => (application?.acknowledged ?? 0) > before + 50);
  });

  it('holds no writes for longer than moments after it was killed, and the same command goes on', async () => {
    await fillMixed(stage.source, 2000);
    application = startApplication(stage.source);
    const killed = follow('--on-cutover', 'exec sleep 60 > /dev/null 2>&1', '--max-hold', '1m');
    await until('following');
    await runs.hold();
    killed.signal('SIGKILL');
    await killed.done;
    const before = application.acknowledged;
    await waitFor('writes to go on', () => (application?.acknowledged ?? 0) > before + 50);
    // Nobody hears of this.
    await stage.source.client.del('mixed:1', 'mixed:2', 'mixed:3');
    const { code, report } = reportOf(await follow('--cutover', 'auto').done);
    expect([code, report.status]).toEqual([0, 'complete']);
    await application.ended;
    await expectEqual();
  });

  it('puts back what an earlier run has set that was killed while writes were refused', async () => {
    await fillMixed(stage.source, 100);
    const { client } = stage.source;
    // With this, no number of replicas keeps the source from taking writes.
    await client.config('SET', 'min-replicas-max-lag', 0);
    await client.config('SET', 'min-replicas-to-write', 3);
    const rule = async () => await client.config('GET', 'min-replicas-*');
    const asFound = await rule();
    const killed = follow('--on-cutover', 'exec sleep 60 > /dev/null 2>&1', '--fence', 'refuse');
    await until('following');
    // The phase is told ahead of the hold itself.
    await runs.hold();
    const refused = async () =>
      (await client.set('refused', 'x').catch(String)).includes('NOREPLICAS');
    await waitFor('writes to be refused', refused);
    killed.signal('SIGKILL');
    await killed.done;
    await expect(client.set('refused', 'x')).rejects.toThrow('NOREPLICAS');
    const again = follow();
    await until('following');
    expect(await rule()).toEqual(asFound);
    expect(await client.set('taken', 'x')).toBe('OK');
    expect((await ctl('cutover')).code).toBe(0);
    const { code, report } = reportOf(await again.done);
    expect([code, report.follow?.cutover?.minReplicasToWrite]).toEqual([0, 3]);
    await expect(client.set('refused', 'x')).rejects.toThrow('NOREPLICAS');
  });

  it('goes on where it was stopped, and copies only what has changed since', async () => {
    await fillMixed(stage.source, 2000);
    const { client } = stage.source;
    const stopped = follow();
    await until('following');
    await client.set('before', 'x');
    await waitFor('the change to arrive', async () => {
      return (await stage.cluster.clientFor('before').exists('before')) === 1;
    });
    stopped.signal('SIGINT');
    expect((await stopped.done).code).toBe(130);
    await client.set('meanwhile', 'x');
    await client.del('before', 'mixed:1');
    const { code, report } = reportOf(await follow('--cutover', 'auto').done);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      keys: { scanned: 0, moved: 0 },
      follow: { copiedAgain: 1, deleted: 2, gaps: 0 },
    });
    await expectEqual();
  });

  it('compares all keys where the source has no more of what was missed', async () => {
    await fillMixed(stage.source, 2000);
    const { client } = stage.source;
    const stopped = follow();
    await until('following');
    await client.set('before', 'x');
    stopped.signal('SIGINT');
    expect((await stopped.done).code).toBe(130);
    await client.del('before', 'mixed:1', 'mixed:2');
    await client.set('meanwhile', 'x');
    // The backlog has a megabyte.
    await client.set('large', 'x'.repeat(2 ** 21));
    const { code, report } = reportOf(await follow('--cutover', 'auto').done);
    expect(code).toBe(0);
    expect(report.follow?.gaps).toBe(1);
    expect(report.follow?.deleted).toBeGreaterThanOrEqual(2);
    await expectEqual();
  });

  it('copies anew what a node has lost', async () => {
    await fillMixed(stage.source, 2000);
    const run = follow();
    await until('following');
    const [node] = stage.cluster.masters;
    const before = await node?.client.dbsize();
    expect(before).toBeGreaterThan(100);
    // It keeps nothing on disk.
    await node?.crash();
    await node?.revive();
    await Promise.all(stage.cluster.nodes.map(isWell));
    const { code } = await ctl('cutover');
    const { report } = reportOf(await run.done);
    expect(report.error).toBeUndefined();
    expect([code, report.status]).toEqual([0, 'complete']);
    expect(report.follow?.copiedAgain).toBeGreaterThan(100);
    expect(report.follow?.cutover?.keys).toEqual({
      source: await stage.source.client.dbsize(),
      cluster: await stage.cluster.size(),
    });
    await expectEqual();
  });

  it('waits for a node that is away for longer than others are tried', async () => {
    await fillMixed(stage.source, 500);
    const run = follow('--retry-for', '1s', '--timeout', '500ms');
    await until('following');
    const node = stage.cluster.masters[0];
    await node?.crash();
    for (let at = 0; at < 50; at++) await stage.source.client.set(`away:${String(at)}`, 'x');
    await waitFor('the lag', async () => ((await status())?.follow?.lagNowMs ?? 0) > 2500);
    await node?.revive();
    await Promise.all(stage.cluster.nodes.map(isWell));
    await waitFor('a cutover', async () => (await ctl('cutover')).code === 0);
    const { report } = reportOf(await run.done);
    expect(report).toMatchObject({ status: 'complete', failures: [] });
    await expectEqual();
  });

  it('is not begun again once the cluster has taken over', async () => {
    await fillMixed(stage.source, 100);
    const killed = follow('--on-cutover', 'exec sleep 60 > /dev/null 2>&1', '--max-hold', '1m');
    await until('following');
    killed.signal('SIGKILL');
    await killed.done;
    // As if it had been killed a moment after the cutover.
    const { client } = stage.source;
    await client.config('SET', 'min-replicas-to-write', 1_000_001);
    await stage.cluster.clientFor('new').set('new', 'x');
    const { code, stderr } = await follow('--cutover', 'auto').done;
    expect([code, stderr]).toEqual([2, expect.stringContaining('the cluster has taken over')]);
    expect(await stage.cluster.clientFor('new').get('new')).toBe('x');
    await expect(client.set('late', 'x')).rejects.toThrow('NOREPLICAS');
  });

  it.each(['pause', 'refuse'])(
    'makes the source refuse writes though its connections are lost while clients are switched (%s)',
    async (fence) => {
      await fillMixed(stage.source, 100);
      const killClients = `${cli} -p ${String(stage.source.port)} CLIENT KILL TYPE normal`;
      // The run counts as a replica.
      await stage.source.client.config('SET', 'min-replicas-to-write', 1);
      const run = follow('--on-cutover', killClients, '--fence', fence, '--cutover', 'auto');
      const { code, report } = reportOf(await run.done);
      expect([code, report.status]).toEqual([0, 'complete']);
      expect(report.follow?.cutover).toMatchObject({
        fence,
        source: 'refuses writes',
        minReplicasToWrite: 1,
      });
    },
  );

  it('lets writes go on though its connections are lost while they are refused', async () => {
    await fillMixed(stage.source, 100);
    const { client, port } = stage.source;
    const killClients = `${cli} -p ${String(port)} CLIENT KILL TYPE normal; exit 3`;
    follow('--on-cutover', killClients, '--fence', 'refuse');
    await until('following');
    expect((await ctl('cutover')).stderr).toContain('--on-cutover ended with 3');
    expect(await client.set('after', 'x')).toBe('OK');
  });

  it('copies nothing any more once clients are being switched over', async () => {
    await fillMixed(stage.source, 100);
    const { port } = stage.source;
    const late = `${cli} -p ${String(port)} SET late x && ${cli} -p ${String(port)} DEL mixed:1 && sleep 0.5`;
    const run = follow('--on-cutover', late, '--fence', 'none', '--cutover', 'auto');
    const { code, report } = reportOf(await run.done);
    expect(code).toBe(0);
    expect(report.follow?.cutover).toMatchObject({ lateWrites: 1 });
    expect(await stage.cluster.clientFor('late').exists('late')).toBe(0);
    expect(await stage.cluster.clientFor('mixed:1').exists('mixed:1')).toBe(1);
  });

  it('says that something was written at the source afterwards, though no key of it is named', async () => {
    await fillMixed(stage.source, 100);
    // It waits until writes go on, which a source that keeps its settings does not refuse.
    await stage.source.client.call('ACL', 'SETUSER', 'default', '-config|set');
    const late = `(${cli} -p ${String(stage.source.port)} FLUSHALL > /dev/null 2>&1 &)`;
    try {
      const run = follow('--on-cutover', late, '--cutover', 'auto');
      const { code, report } = reportOf(await run.done);
      expect(code).toBe(0);
      expect(report.follow?.cutover).toMatchObject({ lateWrites: 1, source: 'writable' });
      expect(report.warnings?.join('\n')).toContain(
        'was written to after the cutover (the source emptied all databases)',
      );
    } finally {
      await stage.source.client.call('ACL', 'SETUSER', 'default', '+@all');
    }
  });

  it('follows whole databases that are emptied, swapped or moved', async () => {
    const { client } = stage.source;
    await fillMixed(stage.source, 2000);
    const run = follow();
    await until('following');
    await client.call('SELECT', 1);
    await client.mset('one', '1', 'two', '2');
    await client.call('SELECT', 0);
    await client.call('MOVE', 'mixed:5', 1);
    await client.call('COPY', 'mixed:6', 'copied', 'DB', 1);
    await client.swapdb(0, 1);
    await waitFor('the swap to arrive', async () => (await stage.cluster.size()) === 4);
    await client.call('SELECT', 1);
    await client.flushdb();
    await client.call('SELECT', 0);
    expect(await stage.cluster.size()).toBe(4);
    await client.flushall();
    await waitFor('the end of all keys', async () => (await stage.cluster.size()) === 0);
    await client.set('last', 'x');
    expect((await ctl('cutover')).code).toBe(0);
    expect((await run.done).code).toBe(0);
    await expectEqual();
  });
});

describe.each(['tracking', 'notifications', 'none'] as const)('a run with --feed %s', (feed) => {
  beforeEach(() =>
    stage.source.client.config(
      'SET',
      'notify-keyspace-events',
      feed === 'notifications' ? 'AKE' : '',
    ),
  );

  it('cuts over with everything that the source has acknowledged', async () => {
    const { client } = stage.source;
    await fillMixed(stage.source, 1000);
    await client.xadd('groups', '1-1', 'a', '1');
    application = startApplication(stage.source);
    const run = follow('--feed', feed, '--max-hold', '1m');
    await until('following');
    // Of these nobody is told.
    await client.xgroup('CREATE', 'groups', 'workers', '0');
    await client.call('XREADGROUP', 'GROUP', 'workers', 'ann', 'STREAMS', 'groups', '>');
    await client.del('mixed:1');
    await client.set('mixed:2', 'changed');
    await client.pexpire('mixed:3', 10_000_000);
    expect((await ctl('cutover')).code).toBe(0);
    const { code, report, stderr } = reportOf(await run.done);
    await application.ended;
    expect([code, report.follow?.feed, report.follow?.gaps]).toEqual([0, feed, 0]);
    expect(stderr).toContain(`--feed ${feed} `);
    await expectEqual();
  });

  it('follows whole databases that are emptied or swapped', async () => {
    const { client } = stage.source;
    await fillMixed(stage.source, 500);
    const run = follow('--feed', feed, '--max-hold', '1m');
    await until('following');
    await client.flushdb();
    // That of the two which it is told of.
    if (feed === 'tracking') {
      await waitFor('the end of all keys', async () => (await stage.cluster.size()) === 0);
    }
    await client.call('SELECT', 1);
    await client.mset('one', '1', 'two', '2');
    await client.call('SELECT', 0);
    await client.swapdb(0, 1);
    expect((await ctl('cutover')).code).toBe(0);
    expect((await run.done).code).toBe(0);
    expect(await stage.cluster.size()).toBe(2);
    await expectEqual();
  });

  if (feed === 'none') return;

  it('takes a connection that is lost while clients are switched for no late write', async () => {
    await fillMixed(stage.source, 100);
    const ask = `${cli} -p ${String(stage.source.port)}`;
    const isBack =
      feed === 'tracking'
        ? `${ask} INFO clients | grep -q tracking_clients:1`
        : `test $(${ask} PUBSUB NUMPAT) = 1`;
    const killed = `${ask} CLIENT KILL TYPE normal; ${ask} CLIENT KILL TYPE pubsub`;
    const switching = `${killed}; until ${isBack}; do sleep 0.02; done`;
    const run = follow('--feed', feed, '--on-cutover', switching, '--cutover', 'auto');
    const { code, report } = reportOf(await run.done);
    expect([code, report.status]).toEqual([0, 'complete']);
    expect(report.follow?.cutover).toMatchObject({ lateWrites: 0 });
  });

  it('compares all keys after its connection was lost', async () => {
    const { client } = stage.source;
    await fillMixed(stage.source, 500);
    const run = follow('--feed', feed, '--max-hold', '1m');
    await until('following');
    const killed = [
      ['client', 'KILL', 'TYPE', 'normal'],
      ['client', 'KILL', 'TYPE', 'pubsub'],
    ];
    const missed = [
      ['set', 'missed', 'x'],
      ['del', 'mixed:7'],
    ];
    await client.multi([...killed, ...missed]).exec();
    await waitFor('the gap', async () => (await status())?.follow?.gaps === 1);
    expect((await ctl('cutover')).code).toBe(0);
    expect((await run.done).code).toBe(0);
    await expectEqual();
  });
});

describe('a run with --follow whose source it may not join', () => {
  it('takes the best feed that there is, and says so', async () => {
    const { client } = stage.source;
    await fillMixed(stage.source, 500);
    await client.call('ACL', 'SETUSER', 'default', '-psync');
    try {
      const { code, report, stderr } = reportOf(await follow('--cutover', 'auto').done);
      expect(report.error).toBeUndefined();
      expect([code, report.follow?.feed]).toEqual([0, 'tracking']);
      expect(stderr).toMatch(/does not let .* run PSYNC: .* So --feed tracking is taken\./);
      await expectEqual();
    } finally {
      await client.call('ACL', 'SETUSER', 'default', '+psync');
    }
  });

  it('says what is missing for the feed that was asked for', async () => {
    const { client } = stage.source;
    await client.config('SET', 'notify-keyspace-events', 'Kg');
    const { code, stderr } = await follow('--feed', 'notifications').done;
    expect([code, stderr.trim().split('\n')]).toEqual([
      2,
      [expect.stringContaining('CONFIG SET notify-keyspace-events AKE there')],
    ]);
  });
});

describe('a run with --follow that can not be', () => {
  it.each([
    [['--type', 'hash'], '--follow and --type do not go together'],
    [['--dry-run'], '--follow and --dry-run do not go together'],
    [['--from', 'package.json'], '--follow is for servers, and package.json is a file'],
  ])('refuses %j', async (words, sentence) => {
    const { code, stderr } = await runCli([...stage.endpoints, '--follow', ...words], env());
    expect(code).toBe(2);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  it('finds out beforehand that writes could not be held', async () => {
    const rules = ['+@read', '+ping', '+scan', '+info', '+select', '+command', '+dbsize', '~*'];
    const feeding = ['+psync', '+replconf', '+publish', '&cluster-import:*'];
    const { client, address } = stage.source;
    await client.set('key', 'x');
    await client.call('ACL', 'SETUSER', 'mover', 'reset', 'on', '>secret', ...rules, ...feeding);
    const from = ['--from', `redis://mover:secret@${address}`, '--to', stage.cluster.seed];
    const words = [...from, '--follow', '--cutover', 'auto', '--quiet'];
    const refused = await runCli(words, env());
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('by which writes are held for the cutover');
    expect(refused.stderr).toContain('+client|pause');
    expect(await stage.cluster.size()).toBe(0);
    const { code, stderr } = await runCli([...words, '--fence', 'none'], env());
    expect(code).toBe(0);
    expect(stderr).toContain('its clients have to be kept off');
    expect(stderr).not.toContain('secret');
    await client.call('ACL', 'DELUSER', 'mover');
  });

  it('refuses to follow a source that was cut over from before', async () => {
    await stage.source.client.set('key', 'x');
    expect((await follow('--cutover', 'auto').done).code).toBe(0);
    await stage.cluster.flush();
    const { code, stderr } = await runCli([...stage.endpoints, '--follow'], env());
    expect(code).toBe(2);
    expect(stderr).toContain('refuses writes, as a cutover leaves it');
  });

  it('says so also where the cluster has the keys', async () => {
    await stage.source.client.set('key', 'x');
    expect((await follow('--cutover', 'auto').done).code).toBe(0);
    const { code, stderr } = await runCli([...stage.endpoints, '--follow'], env());
    expect(code).toBe(2);
    expect(stderr).toContain('the cluster has taken over');
  });

  it('refuses a cluster that has keys of its own', async () => {
    await fillMixed(stage.source, 10);
    await stage.cluster.clientFor('other').set('other', 'x');
    const { code, stderr } = await runCli([...stage.endpoints, '--follow'], env());
    expect(code).toBe(2);
    expect(stderr).toContain('--follow begins with an empty one');
  });

  it('refuses what belongs to --follow without it', async () => {
    const { code, stderr } = await runCli([...stage.endpoints, '--on-cutover', 'true'], env());
    expect(code).toBe(2);
    expect(stderr).toContain('--on-cutover is for --follow');
  });
});
