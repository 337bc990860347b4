/** What operators do to a cluster: move a slot, fail over to a replica, give slots up. */
import { type ClusterNode, isWell, mastersNow, ownerIn, type TestCluster } from './cluster.js';
import { waitFor } from './wait.js';

/**
 * Begins to move a slot: the owner now answers ASK for keys that it does not have.
 * `finish` moves the keys that are there and hands the slot over.
 */
export async function beginSlotMove(cluster: TestCluster, slot: number, to: ClusterNode) {
  const from = await cluster.ownerOf(slot);
  await to.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id);
  await from.client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id);
  return {
    from,
    async finish(): Promise<void> {
      for (;;) {
        const keys = await from.client.callBuffer('CLUSTER', 'GETKEYSINSLOT', slot, 100);
        if (!Array.isArray(keys) || keys.length === 0) break;
        await from.client.call(
          ...(['MIGRATE', to.host, to.port, '', 0, 10_000, 'REPLACE', 'KEYS'] as const),
          ...(keys as Buffer[]),
        );
      }
      await hearHighestEpoch(to, cluster.masters);
      await to.client.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
      await from.client.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
      for (const node of cluster.masters) {
        if (node !== to && node !== from) {
          await node.client.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
        }
      }
      // What the one before has claimed by a message that was on its way may have undone it at some: then each of
      // the two says that it is the other's, for good.
      await waitFor(`all to know whose slot ${String(slot)} is`, async () => {
        const views = await Promise.all(
          cluster.masters.map(async (node) => {
            const list = String(await node.client.cluster('NODES'));
            return { node, owner: ownerIn(list, slot) };
          }),
        );
        const wrong = views.filter(({ owner }) => owner !== to.id);
        for (const { node } of wrong) {
          await node.client.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
        }
        return wrong.length === 0;
      });
    },
  };
}

/**
 * Waits until a node that takes a slot has heard of the highest epoch, and so gets one above it with the slot. With the
 * same or a lower one it would lose the slot again to the last message of the owner before, and would delete its keys.
 */
async function hearHighestEpoch(node: ClusterNode, masters: readonly ClusterNode[]): Promise<void> {
  const epochOf = async ({ client }: ClusterNode, which: 'my' | 'current'): Promise<number> => {
    const info = await client.cluster('INFO');
    return Number(new RegExp(`^cluster_${which}_epoch:(\\d+)`, 'm').exec(info)?.[1]);
  };
  await waitFor(`${node.address} to know the highest epoch`, async () => {
    const epochs = await Promise.all(masters.map((one) => epochOf(one, 'my')));
    return (await epochOf(node, 'current')) >= Math.max(...epochs);
  });
}

/** Moves a slot and its keys to another master. */
export async function moveSlot(cluster: TestCluster, slot: number, to: ClusterNode): Promise<void> {
  await (await beginSlotMove(cluster, slot, to)).finish();
}

/** Makes a replica the master of its shard. */
export async function failOver(cluster: TestCluster, replica: ClusterNode): Promise<void> {
  // A replica takes over what it knows to be its master's: one that has not heard of a slot yet would leave
  // it to the old master, which would stay one for its sake.
  let turn = 0;
  await waitFor(
    'all to agree on the slots',
    async () => {
      const lists = await Promise.all(cluster.nodes.map(({ client }) => client.cluster('NODES')));
      if (new Set(lists.map((list) => slotsIn(String(list)))).size === 1) return true;
      // A node believes no owner whose epoch is lower than that of the one before it: so each gets the
      // highest in turn.
      const masters = await mastersNow(cluster);
      await masters[turn++ % masters.length]?.client.call('CLUSTER', 'BUMPEPOCH');
      return false;
    },
    { everyMs: 1000 },
  );
  let askedAtMs = 0;
  await waitFor(`${replica.address} to be a master`, async () => {
    if ((await replica.client.info('replication')).includes('role:master')) return true;
    if (Date.now() - askedAtMs < failoverTimeoutMs) return false;
    askedAtMs = Date.now();
    await replica.client.call('CLUSTER', 'FAILOVER');
    return false;
  });
  await waitFor('the other one to follow', async () => {
    const masters = await mastersNow(cluster);
    return masters.length === cluster.masters.length;
  });
  await Promise.all(cluster.nodes.map(isWell));
  // Whoever has not heard of it yet refuses to send slots there.
  await waitFor(`all to know that ${replica.address} is a master`, async () => {
    const lists = await Promise.all(cluster.nodes.map(({ client }) => client.cluster('NODES')));
    const line = new RegExp(`^${replica.id} .*\\bmaster\\b`, 'm');
    return lists.every((list) => line.test(String(list)));
  });
}

/** Who owns which slots, by what a node's list says; not which of them are on their way. */
function slotsIn(list: string): string {
  const owners = list
    .split('\n')
    .map((line) => line.split(' '))
    .map(([id, , , , , , , , ...ranges]) => [id, ...ranges.filter((one) => !one.startsWith('['))]);
  return owners
    .filter(({ length }) => length > 1)
    .map((words) => words.join(' '))
    .toSorted()
    .join('\n');
}

/** Takes slots from their owner, so that nobody has them and all nodes know. */
export async function giveUpSlots(
  cluster: TestCluster,
  owner: ClusterNode,
  ...slots: readonly number[]
): Promise<void> {
  // Others would believe an owner that still claims them, even by a message that is on its way: it is
  // gone once whoever sends or reads it has been through its event loop.
  const passed = async (nodes: readonly ClusterNode[]) => {
    for (let time = 0; time < 3; time++)
      await Promise.all(nodes.map(({ client }) => client.ping()));
  };
  const others = cluster.nodes.filter((node) => node !== owner);
  await owner.client.call('CLUSTER', 'DELSLOTS', ...slots);
  await passed([owner]);
  await passed(others);
  for (const { client } of others) await client.call('CLUSTER', 'DELSLOTS', ...slots);
  const assigned = `cluster_slots_assigned:${String(16_384 - slots.length)}\r`;
  await waitFor('all nodes to lack the slots', async () => {
    const infos = await Promise.all(cluster.nodes.map(({ client }) => client.cluster('INFO')));
    return infos.every((info) => info.includes(assigned));
  });
}

/** After so long servers forget that they were asked (CLUSTER_MF_TIMEOUT in Redis' cluster.h). */
const failoverTimeoutMs = 5500;
