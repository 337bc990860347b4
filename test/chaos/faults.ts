/** What can go wrong, and how it is made to. Each fault is over when this has been put right again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Random, randomFrom } from '../support/random.js';
import { runCli } from '../support/cli.js';
import type { ClusterNode } from '../support/cluster.js';
import { isGone, jobsOf } from '../support/job-processes.js';
import type { Proxy } from '../support/proxy.js';
import { beginSlotMove, failOver } from '../support/reshard.js';
import type { Server } from '../support/servers.js';
import { waitFor } from '../support/wait.js';
import type { State } from '../../src/watch/run-sockets.js';
import type { CurrentRun } from './importer.js';
import { type FaultKind, longestStopMs, type PlannedFault } from './plan.js';
import { everyMs, type Servers } from './servers.js';

export interface Context {
  readonly servers: Servers;
  /** Between the import and the source. */
  readonly proxy: Proxy;
  /** Those of other sources. */
  readonly otherProxies?: readonly Proxy[];
  readonly importer: CurrentRun;
  readonly trace: (what: string) => void;
  /** Is told how many keys a node has evicted. */
  readonly evicted: (keys: number) => void;
}

type Injection = (context: Context, random: Random) => Promise<void>;

export async function inject(fault: PlannedFault<Injectable>, context: Context): Promise<void> {
  await injections[fault.kind](context, randomFrom(fault.seed, 0));
}

/** When something went wrong. */
export interface Interruption<Kind extends string = FaultKind> {
  readonly kind: Kind;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Plays faults one after the other, each when as many writes have been taken. */
export async function playTrack<Kind extends string>(
  track: readonly PlannedFault<Kind>[],
  play: (fault: PlannedFault<Kind>) => Promise<void>,
  writes: () => number,
  trace: (what: string) => void,
): Promise<readonly Interruption<Kind>[]> {
  const interruptions: Interruption<Kind>[] = [];
  for (const fault of track) {
    const due = writes() + fault.afterWrites;
    await waitFor('the next fault', () => writes() >= due, { timeoutMs: 60_000 });
    trace(`${fault.kind} begins`);
    const fromMs = Date.now();
    await play(fault);
    interruptions.push({ kind: fault.kind, fromMs, toMs: Date.now() });
    trace(`${fault.kind} is over`);
  }
  return interruptions;
}

/** `stall` is for runs that follow: the others stand still with `stop-source` as well. */
export type Injectable = FaultKind | 'stall';

const injections: Readonly<Record<Injectable, Injection>> = {
  async 'kill-import'({ importer }) {
    await importer.kill();
  },

  /** Another process takes its source over. */
  async 'kill-worker'({ importer, trace }, random) {
    const jobs = await waitFor('a worker', () => {
      const found = jobsOf(importer.pid);
      return found.length > 0 || !importer.busy ? found : undefined;
    });
    if (jobs.length === 0) return;
    const pid = random.pick(jobs);
    trace(`kills worker ${String(pid)}`);
    process.kill(pid, 'SIGKILL');
    await waitFor('it to be gone', () => isGone(pid));
  },

  cut({ proxy }) {
    proxy.cut();
    return Promise.resolve();
  },

  /** In the midst of a command, or of an answer. */
  async 'cut-midway'({ proxy, otherProxies = [], importer }, random) {
    const direction = random.pick(['up', 'down'] as const);
    const afterBytes = random.int(50_000);
    // Whichever gets there first: the import of one source may be over while that of another goes on.
    const limits = [proxy, ...otherProxies].map(({ faults }) => faults.cutAfterBytes);
    for (const limit of limits) limit[direction] = afterBytes;
    const isCut = (): boolean => limits.some((limit) => limit[direction] === 0);
    await waitFor('the cut', () => isCut() || !importer.busy);
    for (const limit of limits) limit[direction] = Infinity;
  },

  /** The source's writers are clients as well. */
  async 'kill-clients'({ servers }, random) {
    const all = [servers.source, ...(await servers.masters())];
    const { client } = random.pick(all);
    const killing = client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    // One that another track has just killed has no clients.
    await killing.catch(() => undefined);
  },

  /** Nothing passes, and nobody is told. */
  async stall({ proxy }, random) {
    proxy.stall();
    await sleep(100 + random.int(longestStopMs));
    proxy.resume();
  },

  async 'kill-source'({ servers }) {
    await servers.source.crash();
    await servers.source.revive();
  },

  async 'stop-source'({ servers }, random) {
    await stopFor(servers.source, 100 + random.int(1500));
  },

  async 'kill-target'({ servers }, random) {
    const master = random.pick(await servers.masters());
    await master.crash();
    if (servers.durability === 'replicas') await replacementOf(master, servers);
    await master.revive();
    await servers.untilWell();
  },

  async 'stop-target'({ servers }, random) {
    await stopFor(random.pick(await servers.masters()), 100 + random.int(longestStopMs - 100));
    await servers.untilWell();
  },

  async 'fail-over'({ servers }, random) {
    const masters = await servers.masters();
    const replicas = servers.cluster.nodes.filter((node) => !masters.includes(node));
    await failOver(servers.cluster, random.pick(replicas));
    await servers.untilWell();
  },

  async reshard({ servers }, random) {
    const masters = await servers.masters();
    const shape = { ...servers.cluster, masters };
    for (let left = 3 + random.int(15); left > 0; left--) {
      const slot = random.int(16_384);
      const from = await shape.ownerOf(slot);
      const to = random.pick(masters.filter((node) => node !== from));
      const move = await beginSlotMove(shape, slot, to);
      // Some keys come while the slot is on its way.
      await sleep(random.int(30));
      await move.finish();
      // The cluster's own moves are as little durable as its replication.
      if (servers.durability === 'replicas') await to.client.wait(1, 5000);
    }
    await servers.untilWell();
  },

  /** Longer than servers let a connection be idle. */
  async pause({ servers, importer, trace }) {
    const all = [servers.source, ...(await servers.masters())];
    const setTimeouts = (seconds: number): Promise<unknown> =>
      Promise.all(all.map((server) => configure(server, 'timeout', seconds)));
    const pid = await waitFor('a run', () => importer.pid);
    const order = (...words: string[]): ReturnType<typeof runCli> =>
      runCli(['ctl', ...words, '--pid', String(pid)]);
    const { code, stderr } = await order('pause');
    trace(`paused: ${code === 0 ? 'yes' : stderr}`);
    if (code !== 0) return;
    // What is in flight is finished first: a connection that is lost under it leaves keys in doubt.
    const isAtRest = async (): Promise<boolean> => {
      const { code: asked, stdout } = await order('status', '--json');
      if (asked !== 0) return true;
      const { nodes } = JSON.parse(stdout) as State;
      return nodes.every(({ inflightKeys }) => inflightKeys === 0);
    };
    await waitFor('what is in flight to end', isAtRest);
    await setTimeouts(1);
    try {
      await sleep(2500);
    } finally {
      await setTimeouts(0);
    }
    await order('resume');
  },

  async 'refuse-writes'({ servers }, random) {
    await configure(servers.source, 'min-replicas-to-write', 1);
    await sleep(100 + random.int(1500));
    await configure(servers.source, 'min-replicas-to-write', 0);
  },

  /** For a moment the node has less room than it uses, and deletes keys until they fit. */
  async evict({ servers, evicted, trace }, random) {
    const node = random.pick(await servers.masters());
    const usedBytes = await figureOf(node, 'memory', 'used_memory');
    const before = await figureOf(node, 'stats', 'evicted_keys');
    await configure(node, 'maxmemory-policy', 'allkeys-lru');
    await configure(node, 'maxmemory', usedBytes - 20_000);
    await sleep(50 + random.int(300));
    await configure(node, 'maxmemory', 0);
    await configure(node, 'maxmemory-policy', 'noeviction');
    const keys = (await figureOf(node, 'stats', 'evicted_keys')) - before;
    evicted(keys);
    trace(`${node.address} has evicted ${String(keys)} keys`);
  },
};

/** Another track may just have killed the server: then it is told when it is back. */
async function configure(server: Server, name: string, value: string | number): Promise<void> {
  await waitFor(`${server.address} to set ${name}`, async () => {
    await server.client.config('SET', name, value);
    return true;
  });
}

async function figureOf(
  { address, client }: Server,
  section: string,
  name: string,
): Promise<number> {
  const info = await waitFor(`${address} to give its ${section}`, () => client.info(section));
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
}

/** How long it lasts is what kind of fault this is: within the time-outs, or beyond. */
export async function stopFor(server: Server, ms: number): Promise<void> {
  process.kill(server.pid, 'SIGSTOP');
  try {
    await sleep(ms);
  } finally {
    process.kill(server.pid, 'SIGCONT');
  }
}

async function replacementOf(dead: ClusterNode, { cluster }: Servers): Promise<void> {
  const others = cluster.nodes.filter((node) => node !== dead);
  const isReplaced = async (): Promise<boolean> => {
    const roles = await Promise.all(others.map(({ client }) => client.info('replication')));
    const masters = roles.filter((info) => info.includes('role:master'));
    return masters.length === cluster.masters.length;
  };
  await waitFor(`a replica to take over from ${dead.address}`, isReplaced, { everyMs });
}
