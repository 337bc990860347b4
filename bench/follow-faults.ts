/**
 * `npm run bench -- follow-faults [keys]`: what becomes of this tool and of RedisShake, while they follow a source,
 * by what happens in a night: a command over two slots, their own death, a restart of the source, a node of the
 * cluster that is replaced by its replica. Each is started again once if it has ended, with the same command.
 *
 * It is said how long it took until a write from behind the event was in the cluster, how often the source was
 * copied as a whole for that, and whether both sides hold the same keys in the end.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fillStrings } from '../test/support/bulk.js';
import { startCluster, type TestCluster } from '../test/support/cluster.js';
import { type Server, startServer, using } from '../test/support/servers.js';
import { waitFor } from '../test/support/wait.js';
import { present } from './contests.js';
import { ours } from './followers/ours.js';
import { redisShake } from './followers/redis-shake.js';
import { say } from './lab/say.js';
import { table } from './report/table.js';
import type { Benchmark, Follower, Following, FollowScene } from './types.js';

const patienceMs = 60_000;
/** What was under way has arrived by then. */
const settleMs = 10_000;
/** It is on the second of three nodes, of which the first is the seed. */
const probe = 'foo';

interface Fault {
  readonly name: string;
  happen(scene: FollowScene, following: Following): Promise<void>;
}

const faults: readonly Fault[] = [
  {
    name: 'a command over two slots',
    async happen({ source }) {
      await source.client.mset('a', '1', 'b', '2', 'c', '3');
    },
  },
  {
    name: 'it is killed',
    happen: (_, { service }) => service.kill(),
  },
  {
    name: 'the source is restarted',
    async happen({ source }) {
      await source.client.save();
      await source.crash();
      await source.revive();
    },
  },
  {
    name: 'a node is replaced by its replica',
    async happen({ cluster }) {
      const [, master] = cluster.masters;
      const [, [successor] = []] = cluster.replicas;
      await master?.crash();
      await waitFor('the replica to take over', async () =>
        (await successor?.client.info('replication'))?.includes('role:master'),
      );
    },
  },
];

export const followFaults: Benchmark = {
  usage: '[keys]   (100000 if not given)',
  async run([keys = '100000']) {
    const followers = present([ours, redisShake]);
    const rows: string[][] = [];
    for (const fault of faults) {
      const row = [fault.name];
      for (const follower of followers) {
        const options = { replicasPerMaster: 1, nodeTimeoutMs: 2000 };
        const told = await using(startCluster(options), (cluster) =>
          using(startServer(), (source) =>
            play(fault, follower, { source, cluster, keys: Number(keys) }),
          ),
        );
        say(`${fault.name}, ${follower.name}: ${told}`);
        row.push(told);
      }
      rows.push(row);
    }
    console.log(table(['', ...followers.map(({ name }) => name)], rows));
  },
};

interface Stage {
  readonly source: Server;
  readonly cluster: TestCluster;
  readonly keys: number;
}

async function play(fault: Fault, follower: Follower, { keys, ...stage }: Stage): Promise<string> {
  const { source } = stage;
  const directory = join(source.directory, 'follower');
  mkdirSync(directory);
  const scene = { ...stage, directory };
  await fillStrings(source, { count: keys, valueBytes: 64 });
  let following = await follower.start(scene);
  const told: string[] = [];
  try {
    await following.isFollowing();
    if (!(await arrives(scene, following)))
      return `did not follow: ${following.service.lastLine()}`;
    const copiesBefore = await wholeCopies(source);
    const startedMs = performance.now();
    await fault.happen(scene, following);
    if (!(await arrives(scene, following))) {
      const { hasEnded } = following.service;
      const line = following.service.lastLine();
      told.push(
        hasEnded ? 'ended' : 'went on, but nothing arrived',
        ...(line === '' ? [] : [line]),
      );
      await following.service.kill();
      following = await follower.start(scene);
      const arrived = await arrives(scene, following);
      told.push(`started again: ${arrived ? 'goes on' : following.service.lastLine()}`);
    }
    told.push(`${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    const copies = await wholeCopies(source);
    // A server that was restarted counts anew.
    const since = copies < copiesBefore ? copies : copies - copiesBefore;
    told.push(`${String(since)} whole copies`);
    told.push(await equality(scene));
    return told.join('; ');
  } finally {
    await following.service.kill();
  }
}

let written = 0;

/** Whether a write at the source is in the cluster within a minute, while the follower lives. */
async function arrives({ source, cluster }: FollowScene, { service }: Following): Promise<boolean> {
  const value = String(++written);
  await source.client.set(probe, value);
  const untilMs = performance.now() + patienceMs;
  while (performance.now() < untilMs && !service.hasEnded) {
    const answers = await Promise.allSettled(
      cluster.nodes.map(async ({ client }) => String(await client.get(probe))),
    );
    if (answers.some((one) => one.status === 'fulfilled' && one.value === value)) return true;
    await sleep(10);
  }
  return false;
}

/** How often the source has handed out all that it has, as a replica asks for it. */
async function wholeCopies({ client }: Server): Promise<number> {
  return Number(/sync_full:(\d+)/.exec(await client.info('stats'))?.[1] ?? 0);
}

async function equality({ source, cluster }: FollowScene): Promise<string> {
  const untilMs = performance.now() + settleMs;
  for (;;) {
    const [there, arrived] = [await source.client.dbsize(), await keysIn(cluster)];
    if (arrived === there) return 'same keys';
    if (performance.now() > untilMs) return `${String(arrived)} keys of ${String(there)}`;
    await sleep(10);
  }
}

/** On all nodes that are masters now; one of them may be dead. */
async function keysIn({ nodes }: TestCluster): Promise<number> {
  const sizes = nodes.map(async ({ client }) => {
    const [role] = await client.role().catch(() => []);
    return role === 'master' ? client.dbsize() : 0;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
