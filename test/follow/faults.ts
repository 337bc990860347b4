/** Faults that only this suite knows: what happens to whole databases, while no writer writes. */
import { type Context as ChaosContext, inject as injectShared, stopFor } from '../chaos/faults.js';
import type { State } from '../chaos/state.js';
import { type Random, randomFrom } from '../support/random.js';
import { waitFor } from '../support/wait.js';
import type { Fault } from './plan.js';
import type { Writer } from './writer.js';

export interface Context extends ChaosContext {
  readonly writers: readonly Writer[];
}

export async function inject(fault: Fault, context: Context): Promise<void> {
  const { kind } = fault;
  if (kind === 'flush') await flush(context);
  else if (kind === 'swap') await swap(context);
  else if (kind === 'stop-replica') await stopReplica(context, randomFrom(fault.seed, 0));
  else await injectShared({ ...fault, kind }, context);
}

async function flush({ servers, writers }: Context): Promise<void> {
  await whileHeld(writers, async () => {
    await again('FLUSHDB', () => servers.source.client.flushdb());
    for (const writer of writers) writer.forget();
  });
}

/** The run waits for replicas, on several connections to each node. */
async function stopReplica({ servers }: Context, random: Random): Promise<void> {
  const masters = await servers.masters();
  const replicas = servers.cluster.nodes.filter((node) => !masters.includes(node));
  await stopFor(random.pick(replicas), 200 + random.int(600));
}

/** The key by which it can be told whether a swap was carried out, though its answer was lost. */
const mark = 'text:mark:0';

async function swap({ servers, writers }: Context): Promise<void> {
  const { client } = servers.source;
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

/** Gives each writer some keys in the source's other database. */
export async function fillOther({ servers, writers }: Pick<Context, 'servers' | 'writers'>) {
  const other = servers.source.client.duplicate({ db: 1 });
  other.on('error', () => undefined);
  try {
    for (const writer of writers) {
      for (let at = 0; at < 20; at++) {
        const state: State = { value: `elsewhere ${String(at)}`, deadline: undefined };
        const key = `text:${writer.name}:elsewhere:${String(at)}`;
        await other.set(key, state.value);
        writer.hasElsewhere(key, state);
      }
    }
  } finally {
    other.disconnect();
  }
}

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
