/** The cluster changes while keys come: slots move, masters change, nodes join. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryPrefix } from '../../../src/movers/elements/writer.js';
import { fillMixed } from '../../support/bulk.js';
import { type ClusterNode, isWell, mastersNow, startNode } from '../../support/cluster.js';
import { differences, type Snapshot, snapshot, snapshotOfAll } from '../../support/compare.js';
import { stallAfter } from '../../support/hold.js';
import { startHalfway, unlessEnded } from '../../support/halfway.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { type Reported, reportOf } from '../../support/reports.js';
import { beginSlotMove, failOver, moveSlot } from '../../support/reshard.js';
import { startCli } from '../../support/cli.js';
import { slotOf } from '../../support/keys.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const nodeOptions = {
  // One of the tests waits until a node counts as dead.
  nodeTimeoutMs: 5000,
  // Replicas stay where a test wants them.
  config: ['cluster-allow-replica-migration no'],
};
const stage = setStage({ cluster: { ...nodeOptions, replicasPerMaster: 1 }, anew: true });
/** Nothing is given up for as long as the changes take. */
const patient = ['--timeout', '10m', '--retry-for', '10m'];
const count = 12_000;
let proxy: Proxy;
let before: Snapshot;

beforeEach(async () => {
  proxy = await startProxy(stage.source);
});
afterEach(() => proxy.stop());

/** Fills the source, with keys of one slot among the others. */
async function fill(tagged: readonly string[] = []): Promise<void> {
  await fillMixed(stage.source, count);
  for (const tag of tagged) {
    const pairs = Array.from({ length: 200 }, (_, at) => [`{${tag}}:${String(at)}`, String(at)]);
    await stage.source.client.mset(...pairs.flat());
  }
  before = await snapshot(stage.source.client);
}

const halfway = (...words: string[]) =>
  startHalfway({ source: stage.source, proxy, to: stage.cluster.seed, words });

/** Nothing is left, nothing failed, and all values are in the cluster. */
async function expectComplete({ code, report }: Reported, joined: ClusterNode[] = []) {
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(report.keys).toMatchObject({ scanned: before.size, moved: before.size });
  expect(await stage.source.client.dbsize()).toBe(0);
  const masters = [...(await mastersNow(stage.cluster)), ...joined];
  // What only confirms writes is deleted where its slot was, which may have moved meanwhile: then its deadline ends it.
  await waitFor('temporary keys to be gone', async () => {
    const names = masters.map(({ client }) => client.keys(`${temporaryPrefix}*`));
    return (await Promise.all(names)).flat().length === 0;
  });
  const after = await snapshotOfAll(masters.map(({ client }) => client));
  expect(differences(before, after)).toEqual([]);
}

/** The cluster as it is now, for whoever moves its slots. */
async function shape(joined: ClusterNode[] = []) {
  const masters = [...(await mastersNow(stage.cluster)), ...joined];
  return { ...stage.cluster, masters, nodes: [...stage.cluster.nodes, ...joined] };
}

async function anotherThan(owner: ClusterNode): Promise<ClusterNode> {
  const other = (await mastersNow(stage.cluster)).find((node) => node !== owner);
  if (!other) throw new Error('there is but one master');
  return other;
}

describe.each(['relay', 'migrate'])('with %s', (mover) => {
  it('slots that are on their way (ASK), and slots that have moved (MOVED)', async () => {
    await fill(['going', 'gone']);
    const held = stallAfter(proxy, 20_000);
    const words = ['--mover', mover, '--json', '--quiet', ...patient];
    const run = startCli(['--from', proxy.address, '--to', stage.cluster.seed, ...words]);
    await unlessEnded(run, held);
    const now = await shape();
    const [going, gone] = ['going', 'gone'].map(slotOf) as [number, number];
    const importing = await anotherThan(await now.ownerOf(going));
    const move = await beginSlotMove(now, going, importing);
    await moveSlot(now, gone, await anotherThan(await now.ownerOf(gone)));
    proxy.resume();
    const result = reportOf(await run.done);
    expect(result.report.redirects).toBeGreaterThan(100);
    // What came while the slot was on its way is where it is going.
    expect(await importing.client.call('CLUSTER', 'COUNTKEYSINSLOT', going)).toBeGreaterThan(0);
    await move.finish();
    await expectComplete(result);
  });
});

it('a master that dies, and its replica in its place', async () => {
  await fill();
  const run = await halfway('--retry-for', '10m');
  const [dying] = await mastersNow(stage.cluster);
  if (!dying) throw new Error('there is no master');
  await dying.crash();
  proxy.resume();
  const others = stage.cluster.nodes.filter((node) => node !== dying);
  await waitFor('a replica to take over', async () => {
    const roles = await Promise.all(others.map(({ client }) => client.info('replication')));
    return roles.filter((info) => info.includes('role:master')).length === 3;
  });
  const result = reportOf(await run.done);
  expect(result.report.retries).toBeGreaterThan(0);
  await dying.revive();
  await waitFor('it to follow', async () =>
    (await dying.client.info('replication')).includes('master_link_status:up'),
  );
  await expectComplete(result);
});

it('every master is replaced, and a thousand slots move, in one run', async () => {
  await fill();
  const run = await halfway(...patient);
  const left = await stage.source.client.dbsize();
  const first = await mastersNow(stage.cluster);
  let changed = 0;
  const changing = changeAll();
  // Keys go as the changes go: there are some on the way at each of them.
  const keepStep = async (): Promise<boolean> => {
    const due = left * (1 - changed / slots);
    if ((await stage.source.client.dbsize()) > due) proxy.resume();
    else proxy.stall();
    return changed === slots;
  };
  await unlessEnded(run, waitFor('all changes', keepStep, { timeoutMs: 840_000 }));
  await changing;
  proxy.resume();
  const last = await mastersNow(stage.cluster);
  expect(last.filter((node) => first.includes(node))).toEqual([]);
  await expectComplete(reportOf(await run.done));

  async function changeAll(): Promise<void> {
    for (; changed < slots; changed++) {
      const now = await shape();
      const from = await now.ownerOf(changed * 16);
      const to = now.masters.filter((node) => node !== from)[changed % 2] ?? from;
      await moveSlot(now, changed * 16, to);
      const replaced = changed % 300 === 299 ? first[Math.floor(changed / 300)] : undefined;
      if (replaced) await failOver(stage.cluster, await replicaOf(replaced));
    }
  }
  // Thousands of commands one after the other.
}, 900_000);

const slots = 1000;

async function replicaOf(master: ClusterNode): Promise<ClusterNode> {
  for (const node of stage.cluster.nodes) {
    const info = await node.client.info('replication');
    if (info.includes('role:slave') && info.includes(`master_port:${String(master.port)}\r`)) {
      return node;
    }
  }
  throw new Error(`${master.address} has no replica`);
}

/** A node that the cluster knows, and that owns nothing. */
async function join(): Promise<ClusterNode> {
  const joined = await startNode(nodeOptions);
  const [first] = await mastersNow(stage.cluster);
  if (!first) throw new Error('there is no master');
  await joined.client.call('CLUSTER', 'MEET', first.host, first.port);
  await waitFor('the node to be one of them', async () => {
    await Promise.all([...stage.cluster.nodes, joined].map(isWell));
    const lists = stage.cluster.nodes.map(({ client }) => client.call('CLUSTER', 'NODES'));
    return (await Promise.all(lists)).every((list) => String(list).includes(joined.id));
  });
  return joined;
}

it.each(['relay', 'migrate'])(
  'a node that joins, and is getting its first slot, with %s',
  async (mover) => {
    await fill(['first']);
    const joined = await join();
    try {
      const slot = slotOf('first');
      const now = await shape([joined]);
      const move = await beginSlotMove(now, slot, joined);
      const words = [...stage.endpoints, '--mover', mover, '--json', '--quiet'];
      const result = reportOf(await startCli(words).done);
      // All that came for it: the old owner had none of the slot's keys.
      expect(await joined.client.call('CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(200);
      await move.finish();
      await expectComplete(result, [joined]);
    } finally {
      await joined.stop();
    }
  },
);

it('a node that joins, and gets slots of all the others', async () => {
  await fill();
  const run = await halfway(...patient);
  const joined = await join();
  try {
    const now = await shape([joined]);
    for (let slot = 0; slot < 16_384; slot += 128) await moveSlot(now, slot, joined);
    proxy.resume();
    await expectComplete(reportOf(await run.done), [joined]);
    expect(await joined.client.dbsize()).toBeGreaterThan(50);
  } finally {
    await joined.stop();
  }
});
