/** A node that hangs, or is away, while a source is followed: it holds up its own keys, and no others. */
import { afterEach, expect, it } from 'vitest';
import { type Application, startApplication } from '../../support/application.js';
import { fillMixed } from '../../support/bulk.js';
import { type ClusterNode, isWell } from '../../support/cluster.js';
import { snapshot } from '../../support/compare.js';
import { followingRuns } from '../../support/following.js';
import { slotOf } from '../../support/keys.js';
import { reportOf } from '../../support/reports.js';
import { beginSlotMove } from '../../support/reshard.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

// The others must not take it for dead: they would refuse all writes then.
const stage = setStage({
  anew: true,
  cluster: { nodeTimeoutMs: 600_000, config: ['cluster-require-full-coverage no'] },
});
const runs = followingRuns();
const { ctl, status, until } = runs;
let application: Application | undefined;

afterEach(async () => {
  await application?.stop();
  application = undefined;
});

/** The sick one, and the others. */
const nodes = () => stage.cluster.masters as readonly [ClusterNode, ClusterNode, ClusterNode];

let mark = 0;

/** A name that no key has yet, of a key that belongs to this node. */
function nameAt(node: ClusterNode): string {
  for (;;) {
    const name = `mark:${String(mark++)}`;
    if (stage.cluster.clientFor(name) === node.client) return name;
  }
}

/** Waits until a key that is set now is at its node. */
async function arrivesAt(node: ClusterNode, name = nameAt(node)): Promise<void> {
  const value = `value ${String(mark++)}`;
  await stage.source.client.set(name, value);
  await waitFor(`${name} at ${node.address}`, async () => (await node.client.get(name)) === value);
}

async function stopped(node: ClusterNode, work: () => Promise<void>): Promise<void> {
  process.kill(node.pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    process.kill(node.pid, 'SIGCONT');
  }
}

/** After the cutover the cluster has everything that the source has, and nothing else. */
async function expectEqual(run: ReturnType<typeof runs.start>): Promise<void> {
  await application?.ended;
  const { code, report } = reportOf(await run.done);
  expect(code).toBe(0);
  expect(report).toMatchObject({ status: 'complete', failures: [] });
  // What expires meanwhile does so on both sides, though not at the same moment.
  const all = await snapshot(stage.source.client);
  const lasting = new Map([...all].filter(([key]) => !key.startsWith('short:')));
  const missing = await stage.missingIn(lasting);
  expect(missing.filter((line) => !line.startsWith('"short:'))).toEqual([]);
}

it('keys of the other nodes arrive while one hangs, also where a slot moves meanwhile', async () => {
  await fillMixed(stage.source, 3000);
  application = startApplication(stage.source);
  const run = runs.start(stage.endpoints);
  await until('following');
  const [sick, one, other] = nodes();
  await stopped(sick, async () => {
    await stage.source.client.set(nameAt(sick), 'x');
    for (let time = 0; time < 20; time++) {
      await arrivesAt(one);
      await arrivesAt(other);
    }
    await waitFor('the lag of its keys', async () => {
      const { phase, lagNowMs, expectedHoldMs } = (await status())?.follow ?? {};
      return phase === 'following' && (lagNowMs ?? 0) > 2000 && expectedHoldMs === null;
    });
    const moving = nameAt(one);
    await arrivesAt(one, moving);
    const awake = { ...stage.cluster, masters: [one, other], ownerOf: () => Promise.resolve(one) };
    const move = await beginSlotMove(awake, slotOf(moving), other);
    await move.finish();
    await arrivesAt(other, moving);
    await arrivesAt(one);
    expect((await status())?.follow?.changedKeys).toBeGreaterThan(0);
  });
  await Promise.all(stage.cluster.nodes.map(isWell));
  await waitFor('a cutover', async () => (await ctl('cutover')).code === 0);
  await expectEqual(run);
});

it('keys of the other nodes arrive while one is away, and a cutover waits for it', async () => {
  await fillMixed(stage.source, 1000);
  application = startApplication(stage.source);
  const run = runs.start(stage.endpoints);
  await until('following');
  const [one, sick, other] = nodes();
  await sick.crash();
  await stage.source.client.set(nameAt(sick), 'x');
  for (let time = 0; time < 10; time++) {
    await arrivesAt(one);
    await arrivesAt(other);
  }
  const cutover = ctl('cutover');
  // It copies for the others while it waits.
  for (let time = 0; time < 10; time++) {
    await arrivesAt(one);
    await arrivesAt(other);
  }
  expect((await status())?.follow?.phase).toBe('following');
  await sick.revive();
  expect((await cutover).code).toBe(0);
  await expectEqual(run);
});
