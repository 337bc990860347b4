/** Checking a cluster, and moving keys to their owners that came by append-only files put under its nodes. */
import { execFile } from 'node:child_process';
import { appendFileSync, cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findRedis } from '../../../scripts/find-redis.mjs';
import type { CheckReport } from '../../../src/check/check-report.js';
import { fillMixed } from '../../support/bulk.js';
import { runCli } from '../../support/cli.js';
import { type ClusterNode, startCluster, type TestCluster } from '../../support/cluster.js';
import { differences, type Snapshot, snapshot, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { keepExpired } from '../../support/planted.js';
import { beginSlotMove, giveUpSlots } from '../../support/reshard.js';
import { type Server, startServer, using } from '../../support/servers.js';
import { slotOf } from '../../support/keys.js';
import { waitFor } from '../../support/wait.js';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await startCluster({ masters: 3 });
});
afterEach(async () => {
  await cluster.stop();
});

async function check(
  ...flags: string[]
): Promise<{ code: number | undefined; report: CheckReport }> {
  const { code, stdout, stderr } = await runCli([
    'check',
    '--to',
    cluster.seed,
    '--json',
    ...flags,
  ]);
  if (stdout === '') throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as CheckReport };
}

async function redisCliCheck(): Promise<{ code: number; stdout: string }> {
  const program = findRedis('redis-cli') ?? '';
  try {
    const { stdout } = await promisify(execFile)(program, ['--cluster', 'check', cluster.seed]);
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
}

async function layout(): Promise<string> {
  const nodes = String(await cluster.masters[0]?.client.call('CLUSTER', 'NODES'));
  const lines = nodes.split('\n').map((line) => line.split(' '));
  return lines
    .map(([id, , , , , , , , ...slots]) =>
      [id, ...slots.filter((one) => !one.startsWith('[')).sort()].join(' '),
    )
    .sort()
    .join('\n');
}

/** The way of moving that leaves keys where nobody finds them: each old server's file under a node. */
async function putUnder(olds: readonly Server[]): Promise<void> {
  for (const [at, old] of olds.entries()) {
    const node = cluster.masters[at] as Server;
    await node.crash();
    await old.crash();
    cpSync(join(old.directory, 'appendonlydir'), join(node.directory, 'appendonlydir'), {
      recursive: true,
    });
    appendFileSync(join(node.directory, 'redis.conf'), '\nappendonly yes\n');
    await node.revive();
  }
  await waitFor('the cluster to be well', async () => {
    const states = await Promise.all(
      cluster.masters.map(({ client }) => client.call('CLUSTER', 'INFO')),
    );
    return states.every((state) => String(state).includes('cluster_state:ok'));
  });
}

const withFile = { config: ['appendonly yes', 'appendfsync always'] };

it('finds a sound cluster sound', async () => {
  const { code, report } = await check();
  expect(report.problems.map(({ kind }) => kind)).toEqual([
    'no-replicas',
    'no-replicas',
    'no-replicas',
  ]);
  expect(report).toMatchObject({ status: 'sound' });
  expect(code).toBe(0);
  const { stdout } = await runCli(['check', '--to', cluster.seed]);
  expect(stdout).toMatch(/^✓ Sound: [^]*✓ 16,384 of 16,384 slots have one owner each/);
});

it('moves the keys of append-only files to their owners, and leaves the layout as it is', async () => {
  const before = await layout();
  const all = new Map() as Map<string, Snapshot extends ReadonlyMap<string, infer C> ? C : never>;
  await using(startServer(withFile), (one) =>
    using(startServer(withFile), (two) =>
      using(startServer(withFile), async (three) => {
        await fillEveryType(one.client);
        // Append-only files do not tell when its consumers were last seen.
        await one.client.del('stream');
        await fillMixed(two, 3000);
        for (let at = 0; at < 500; at++)
          await three.client.set(`third:${String(at)}`, at, 'EX', 5000 + at);
        for (const old of [one, two, three]) {
          for (const [key, contents] of await snapshot(old.client)) all.set(key, contents);
        }
        expect(readdirSync(one.directory)).toContain('appendonlydir');
        await putUnder([one, two, three]);
      }),
    ),
  );
  const found = await check();
  expect(found.code).toBe(1);
  const kinds = new Set(found.report.problems.map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual(['no-replicas', 'slots-open', 'stray-keys']);
  const strays = found.report.nodes.reduce((sum, { strayKeys }) => sum + strayKeys, 0);
  expect(strays).toBeGreaterThan(1000);

  const { code, report } = await check('--fix-keys');
  expect(report.fixed).toEqual({ moved: strays, deleted: 0 });
  expect(report.status).toBe('sound');
  expect(code).toBe(0);
  expect(
    differences(all, await snapshotOfAll(cluster.masters.map(({ client }) => client))),
  ).toEqual([]);
  expect(await layout()).toBe(before);
  const theirs = await redisCliCheck();
  expect(theirs.stdout).toContain('[OK] All 16384 slots covered.');
  expect(theirs.stdout).not.toMatch(/WARNING|ERR/);
  expect(theirs.code).toBe(0);
});

it('deletes equal copies, and stops at a key whose owner has another value', async () => {
  // Both are homes of the third node, and on the first one as well.
  const [equal, other] = ['equal', 'other'].map((word) => {
    let at = 0;
    while (slotOf(`${word}:${String(at)}`) < 11_000) at++;
    return `${word}:${String(at)}`;
  }) as [string, string];
  await cluster.masters[2]?.client.sadd(equal, 'b', 'a');
  await using(startServer(withFile), async (old) => {
    await old.client.sadd(equal, 'a', 'b');
    await putUnder([old]);
  });
  expect((await check('--fix-keys')).report.fixed).toEqual({ moved: 0, deleted: 1 });

  const first = cluster.masters[0]?.client;
  const owner = cluster.masters[2];
  await owner?.client.set(other, 'theirs');
  // As a node looks that has found a key of somebody else's at its start.
  await first?.call('CLUSTER', 'SETSLOT', slotOf(other), 'IMPORTING', owner?.id ?? '');
  await Promise.all([first?.call('ASKING'), first?.set(other, 'ours')]);
  await first?.call('CLUSTER', 'SETSLOT', slotOf(other), 'STABLE');
  const { code, report } = await check('--fix-keys');
  expect(code).toBe(1);
  expect(report.fixed).toMatchObject({ moved: 0, deleted: 0, conflict: { key: other } });
  const { message = '', slot, node } = report.fixed?.conflict ?? {};
  expect({ slot, node }).toEqual({ slot: slotOf(other), node: cluster.masters[0]?.address });
  expect(message).toBe(
    `it lies on ${String(node)}, and the owner of its slot ${String(slot)}, ${String(owner?.address)}, has another value of it (4 bytes on ${String(node)}, 6 on ${String(owner?.address)})`,
  );
  expect(report.problems.map(({ kind }) => kind)).toContain('stray-keys');
  expect(report.problems.map(({ kind }) => kind)).not.toContain('slots-open');
  expect(await owner?.client.get(other)).toBe('theirs');

  // As docs/moving.md says; the slot is open then, and holds nothing.
  await first?.call('CLUSTER', 'SETSLOT', slotOf(other), 'IMPORTING', owner?.id ?? '');
  await Promise.all([first?.call('ASKING'), first?.del(other)]);
  expect((await check()).report.problems.map(({ kind }) => kind)).toContain('slots-open');
  const again = await check('--fix-keys');
  expect(again).toMatchObject({ code: 0, report: { status: 'sound', fixed: { moved: 0 } } });
  expect(await owner?.client.get(other)).toBe('theirs');
});

it('closes slots whose keys have expired since the node found them', async () => {
  const config = [...withFile.config, 'enable-debug-command local'];
  await using(startServer({ config }), async (old) => {
    // The file must not say already that they are gone.
    await keepExpired([old.client]);
    for (let at = 0; at < 50; at++) await old.client.set(`short:${String(at)}`, at, 'PX', 200);
    await putUnder([old]);
  });
  const [first, second] = cluster.masters;
  await waitFor('the keys to expire', async () => (await first?.client.dbsize()) === 0);
  // This one is being resharded.
  const slot = slotOf('under way');
  const owner = await cluster.ownerOf(slot);
  const next = owner === second ? first : second;
  await beginSlotMove(cluster, slot, next as ClusterNode);
  const found = await check();
  const open = found.report.problems.find(
    ({ kind, node }) => kind === 'slots-open' && node === first?.address,
  );
  expect(open?.message).toMatch(/--fix-keys moves these to their owners and closes the slots/);
  expect(found.report.problems.map(({ kind }) => kind)).not.toContain('stray-keys');
  const { report } = await check('--fix-keys');
  const left = report.problems.filter(({ kind }) => kind === 'slots-open');
  expect(left.map(({ node, count }) => [node, count]).sort()).toEqual(
    [
      [owner.address, 1],
      [next?.address, 1],
    ].sort(),
  );
  for (const { message } of left) expect(message).toMatch(/has 1 slot open/);
});

it('moves keys to an owner with a replica, which has them before they are deleted', async () => {
  await using(startCluster({ masters: 2, replicasPerMaster: 1 }), async (pairs) => {
    const [owner, other] = pairs.masters;
    const key = 'b';
    expect(await pairs.ownerOf(slotOf(key))).toBe(owner);
    await other?.client.call('CLUSTER', 'SETSLOT', slotOf(key), 'IMPORTING', owner?.id ?? '');
    await Promise.all([other?.client.call('ASKING'), other?.client.set(key, 'stray')]);
    const words = ['check', '--to', pairs.seed, '--fix-keys', '--json'];
    const { code, stdout } = await runCli(words);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'sound', fixed: { moved: 1, deleted: 0 } });
    expect(code).toBe(0);
    const replica = pairs.replicas[0]?.[0]?.client;
    await replica?.readonly();
    expect(await replica?.get(key)).toBe('stray');
  });
});

it('tells of slots that nobody owns or that are open, and of nodes that are away', async () => {
  const [one, two, three] = cluster.masters;
  await giveUpSlots(cluster, one as ClusterNode, 5, 6, 7, 9);
  await one?.client.call('CLUSTER', 'SETSLOT', 100, 'MIGRATING', two?.id ?? '');
  const found = await check('--fix-keys');
  expect(found.code).toBe(1);
  const messages = found.report.problems
    .map(({ kind, message }) => `${kind}: ${message}`)
    .join('\n');
  expect(messages).toMatch(/slots-uncovered: No node owns 4 slots \(5-7, 9\)/);
  expect(messages).toMatch(
    /slots-open: .* has 1 slot open \(100\): .* CLUSTER SETSLOT <slot> STABLE/,
  );
  expect(found.report.fixed?.error).toMatch(/repair the cluster first/);
  await three?.crash();
  const { report } = await check();
  const unreachable = report.problems.find(({ kind }) => kind === 'node-unreachable');
  expect(unreachable?.node).toBe(three?.address);
  expect(unreachable?.message).toMatch(/: start the server\. If it is reached elsewhere/);
  expect(report.ownerless.slots).toMatch(/^5-7, 9, \d+-16383$/);
});

it('leaves a resharding that is under way alone', async () => {
  const key = 'under way';
  const slot = slotOf(key);
  const owner = await cluster.ownerOf(slot);
  const next = cluster.masters.find(({ id }) => id !== owner.id);
  await next?.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id);
  await owner.client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', next?.id ?? '');
  await Promise.all([next?.client.call('ASKING'), next?.client.set(key, 'arrived')]);
  const { code, report } = await check('--fix-keys');
  expect(report.fixed).toMatchObject({ moved: 0, deleted: 0 });
  expect(code).toBe(1);
  expect(await Promise.all([next?.client.call('ASKING'), next?.client.get(key)])).toContain(
    'arrived',
  );
});

it('refuses what is no cluster', async () => {
  await using(startServer(), async ({ address }) => {
    const { code, stderr } = await runCli(['check', '--to', address]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/is not a node of a cluster/);
  });
});
