/** What can go wrong, and how it is made to. Each fault is over when this has been put right again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Random, randomFrom } from '../fuzz/random.js';
import type { ClusterNode } from '../support/cluster.js';
import type { Proxy } from '../support/proxy.js';
import { beginSlotMove, failOver } from '../support/reshard.js';
import type { Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';
import type { Importer } from './importer.js';
import { type Fault, type FaultKind, longestStopMs } from './plan.js';
import type { Theatre } from './theatre.js';

export interface Scene {
  readonly theatre: Theatre;
  /** Between the import and the source. */
  readonly proxy: Proxy;
  readonly importer: Importer;
  readonly tell: (what: string) => void;
}

type Act = (scene: Scene, random: Random) => Promise<void>;

export async function inject(fault: Fault, scene: Scene): Promise<void> {
  await acts[fault.kind](scene, randomFrom(fault.seed, 0));
}

const acts: Readonly<Record<FaultKind, Act>> = {
  async 'kill-import'({ importer }) {
    await importer.kill();
  },

  cut({ proxy }) {
    proxy.cut();
    return Promise.resolve();
  },

  /** In the midst of a command, or of an answer. */
  async 'cut-midway'({ proxy, importer }, random) {
    const direction = random.pick(['up', 'down'] as const);
    proxy.faults.cutAfterBytes[direction] = random.int(50_000);
    const isCut = (): boolean => proxy.faults.cutAfterBytes[direction] === 0;
    await waitFor('the cut', () => isCut() || !importer.busy);
    proxy.faults.cutAfterBytes[direction] = Infinity;
  },

  /** The source's writers are clients as well. */
  async 'kill-clients'({ theatre }, random) {
    const servers = [theatre.source, ...(await theatre.masters())];
    const { client } = random.pick(servers);
    const killing = client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    // One that another track has just killed has no clients.
    await killing.catch(() => undefined);
  },

  async 'kill-source'({ theatre }) {
    await theatre.source.crash();
    await theatre.source.revive();
  },

  async 'stop-source'({ theatre }, random) {
    await stopFor(theatre.source, 100 + random.int(1500));
  },

  async 'kill-target'({ theatre }, random) {
    const master = random.pick(await theatre.masters());
    await master.crash();
    if (theatre.cast === 'replicas') await replacementOf(master, theatre);
    await master.revive();
    await theatre.allWell();
  },

  async 'stop-target'({ theatre }, random) {
    await stopFor(random.pick(await theatre.masters()), 100 + random.int(longestStopMs - 100));
    await theatre.allWell();
  },

  async 'fail-over'({ theatre }, random) {
    const masters = await theatre.masters();
    const replicas = theatre.cluster.nodes.filter((node) => !masters.includes(node));
    await failOver(theatre.cluster, random.pick(replicas));
    await theatre.allWell();
  },

  async reshard({ theatre }, random) {
    const masters = await theatre.masters();
    const shape = { ...theatre.cluster, masters };
    for (let left = 3 + random.int(15); left > 0; left--) {
      const slot = random.int(16_384);
      const from = await shape.ownerOf(slot);
      const to = random.pick(masters.filter((node) => node !== from));
      const move = await beginSlotMove(shape, slot, to);
      // Some keys come while the slot is on its way.
      await sleep(random.int(30));
      await move.finish();
      // The cluster's own moves are as little durable as its replication.
      if (theatre.cast === 'replicas') await to.client.wait(1, 5000);
    }
    await theatre.allWell();
  },
};

/** How long it lasts is what kind of fault this is: within the time-outs, or beyond. */
async function stopFor(server: Server, ms: number): Promise<void> {
  process.kill(server.pid, 'SIGSTOP');
  try {
    await sleep(ms);
  } finally {
    process.kill(server.pid, 'SIGCONT');
  }
}

async function replacementOf(dead: ClusterNode, { cluster }: Theatre): Promise<void> {
  const others = cluster.nodes.filter((node) => node !== dead);
  await waitFor(`a replica to take over from ${dead.address}`, async () => {
    const roles = await Promise.all(others.map(({ client }) => client.info('replication')));
    const masters = roles.filter((info) => info.includes('role:master'));
    return masters.length === cluster.masters.length;
  });
}
