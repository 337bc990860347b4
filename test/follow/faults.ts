/** Faults that only this suite knows: what happens to whole databases, and to a cluster that is a source. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context as ChaosContext, inject as injectShared, stopFor } from '../chaos/faults.js';
import type { Servers } from '../chaos/servers.js';
import type { State } from '../chaos/state.js';
import type { ClusterNode } from '../support/cluster.js';
import type { Proxy } from '../support/proxy.js';
import { type Random, randomFrom } from '../support/random.js';
import { beginSlotMove } from '../support/reshard.js';
import type { Server } from '../support/servers.js';
import { slotOf } from '../support/keys.js';
import { waitFor } from '../support/wait.js';
import type { Fault } from './plan.js';
import type { WorkedQueue } from './queue.js';
import type { Sources } from './sources.js';
import type { Writer } from './writer.js';
import type { PlacedWriter } from './writers.js';

export interface Context extends Omit<ChaosContext, 'proxy'> {
  readonly sources: Sources;
  /** Between the run and each source. */
  readonly proxies: ReadonlyMap<Server, Proxy>;
  readonly writers: readonly PlacedWriter[];
  /** Undefined: the run does it all. */
  readonly queue: WorkedQueue | undefined;
}

/** What happens to one of the sources. */
interface AtSource extends ChaosContext {
  readonly source: Server;
  readonly sources: Sources;
  readonly proxies: Context['proxies'];
  readonly writers: readonly PlacedWriter[];
  readonly queue: Context['queue'];
}

type Injection = (at: AtSource, random: Random) => Promise<void>;

export async function inject(fault: Fault, context: Context): Promise<void> {
  const { kind, seed } = fault;
  const random = randomFrom(seed, 1);
  const source = random.pick(await context.sources.masters());
  const at: AtSource = {
    ...context,
    source,
    servers: { ...context.servers, source },
    proxy: context.proxies.get(source) as Proxy,
  };
  if (kind in own) await own[kind as keyof typeof own](at, randomFrom(seed, 0));
  else await injectShared({ ...fault, kind: kind as Exclude<typeof kind, keyof typeof own> }, at);
}

const own = {
  /** Of a cluster all masters are emptied: its clients know no databases of nodes. */
  async flush({ sources, source, writers }) {
    const emptied = sources.cluster ? await sources.masters() : [source];
    const theirs = sources.cluster
      ? writers.map(({ writer }) => writer)
      : writersAt(source, writers);
    await whileHeld(theirs, async () => {
      for (const { client } of emptied) {
        await again('FLUSHDB', () => client.flushdb());
        if (sources.cluster) await again('WAIT', () => client.wait(1, 5000));
      }
      for (const writer of theirs) writer.forget();
    });
  },

  async swap({ source, writers }) {
    await swap(source, writersAt(source, writers));
  },

  /** At whichever source as much passes first: nothing passes at a master that is not followed. */
  async 'cut-midway'({ proxies, importer }, random) {
    const direction = random.pick(['up', 'down'] as const);
    const all = [...proxies.values()].map(({ faults }) => faults.cutAfterBytes);
    for (const left of all) left[direction] = random.int(50_000);
    const isCut = (): boolean => all.some((left) => left[direction] === 0);
    await waitFor('the cut', () => isCut() || !importer.busy);
    for (const left of all) left[direction] = Infinity;
  },

  /** The run waits for replicas, on several connections to each node. */
  async 'stop-replica'({ servers }, random) {
    const masters = await servers.masters();
    const replicas = servers.cluster.nodes.filter((node) => !masters.includes(node));
    await stopFor(random.pick(replicas), 200 + random.int(600));
  },

  async 'source-fail-over'(at, random) {
    await injectShared(
      { kind: 'fail-over', seed: random.int(2 ** 31), afterWrites: 0 },
      asTarget(at),
    );
  },

  /** A master is killed, and its replica takes over by itself. */
  async 'source-take-over'(at, random) {
    await injectShared(
      { kind: 'kill-target', seed: random.int(2 ** 31), afterWrites: 0 },
      asTarget(at),
    );
  },

  /** Slots that have keys move from one master to another. */
  async 'source-reshard'({ sources, writers }, random) {
    for (let left = 2 + random.int(6); left > 0; left--) {
      const keys = [...random.pick(writers).writer.book.keys()];
      await moveSlotOf(random.pick(keys), sources, random);
    }
    await sources.untilWell();
  },

  async 'kill-queue-worker'({ queue }, random) {
    await queue?.killWorker(random);
  },

  async 'stop-queue-worker'({ queue, trace }, random) {
    await queue?.stopWorker(random, trace);
  },

  async 'restart-queue'({ queue }, random) {
    await queue?.restart(random);
  },
} satisfies Partial<Record<Fault['kind'], Injection>>;

/** The source is what happens to a target in other suites. */
function asTarget(at: AtSource): ChaosContext {
  const { sources } = at;
  const cluster = sources.cluster as Servers['cluster'];
  const masters = async (): Promise<readonly ClusterNode[]> =>
    (await sources.masters()) as readonly ClusterNode[];
  return {
    ...at,
    servers: {
      ...at.servers,
      cluster,
      masters,
      durability: 'replicas',
      untilWell: () => sources.untilWell(),
    },
  };
}

async function moveSlotOf(key: string, sources: Sources, random: Random): Promise<void> {
  const masters = (await sources.masters()) as readonly ClusterNode[];
  const shape = { ...(sources.cluster as Servers['cluster']), masters };
  const slot = slotOf(key);
  const from = await shape.ownerOf(slot);
  const to = random.pick(masters.filter((node) => node !== from));
  const move = await beginSlotMove(shape, slot, to);
  // Keys are changed, come and go while the slot is on its way.
  await sleep(random.int(random.oneIn(3) ? 1500 : 30));
  // A node whose writes are held takes no keys; it is asked again.
  await again('the slot to come', () => move.finish());
  await again('WAIT', () => to.client.wait(1, 5000));
}

/** The key by which it can be told whether a swap was carried out, though its answer was lost. */
const mark = 'text:mark:0';

async function swap({ client }: Server, writers: readonly Writer[]): Promise<void> {
  const other = client.duplicate({ db: 1 });
  other.on('error', () => undefined);
  try {
    await whileHeld(writers, async () => {
      await again('SET', () => client.set(mark, 'x'));
      await waitFor('SWAPDB', async () => {
        if ((await client.exists(mark)) === 0) return true;
        await client.swapdb(0, 1);
        return false;
      });
      await again('DEL', () => other.del(mark));
      for (const writer of writers) writer.swap();
    });
  } finally {
    other.disconnect();
  }
}

/** Gives each writer some keys in its source's other database. */
export async function fillOther(writers: readonly PlacedWriter[]): Promise<void> {
  for (const { writer, server } of writers) {
    if (!server) continue;
    const other = server.client.duplicate({ db: 1 });
    other.on('error', () => undefined);
    try {
      for (let at = 0; at < 20; at++) {
        const state: State = { value: `elsewhere ${String(at)}`, deadline: undefined };
        const key = `text:${writer.name}:elsewhere:${String(at)}`;
        await other.set(key, state.value);
        writer.hasElsewhere(key, state);
      }
    } finally {
      other.disconnect();
    }
  }
}

const writersAt = (source: Server, writers: readonly PlacedWriter[]): readonly Writer[] =>
  writers.filter(({ server }) => server === source).map(({ writer }) => writer);

async function whileHeld(writers: readonly Writer[], work: () => Promise<void>): Promise<void> {
  await Promise.all(writers.map((writer) => writer.hold()));
  try {
    await work();
  } finally {
    for (const writer of writers) writer.goOn();
  }
}

/** What may be done twice. */
async function again(what: string, work: () => Promise<unknown>): Promise<void> {
  await waitFor(`${what} at the source`, async () => {
    await work();
    return true;
  });
}
