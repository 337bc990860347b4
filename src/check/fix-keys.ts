/**
 * Moves stray keys to the node that owns their slot. No slot changes hands.
 *
 * A node serves keys of a slot that is not its own only while it is importing that slot, to clients
 * that say ASKING. So the slot is opened there (which no other node hears of), each key is restored at
 * its owner, never over another value, deleted here once the owner has it, and the slot is closed.
 */
import { compareValue, sideOf } from '../compare/value.js';
import { RefusedError, TargetError } from '../errors.js';
import { askAt, type Word } from '../redis/ask.js';
import { connect, type Connection } from '../redis/connection.js';
import { ConnectionPool, lanes } from '../redis/pool.js';
import { ownLine, parseNodes } from '../redis/topology.js';
import { ErrorReply, type Reply, textOf } from '../redis/reply.js';
import { forEach } from '../async.js';
import { claimsOf, openWithoutGiver, type Survey, type SurveyedNode } from './survey.js';

/** Keys of one slot that are under way at one time; their payloads are held meanwhile. */
const keysAtOnce = 64;
/** Slots of a node that are: a node writes its slots to disk when one was opened or closed, once for several. */
const slotsAtOnce = 32;

export interface FixedKeys {
  /** Now at their owner. */
  moved: number;
  /** Their owner had the very same already. */
  deleted: number;
  /** The owner has another value: both are left as they are, and nothing more is done. */
  conflict?: {
    readonly key: Buffer;
    readonly message: string;
    readonly slot: number;
    /** `host:port` of the node that should not have it. */
    readonly node: string;
  };
}

export interface FixOptions {
  readonly timeoutMs: number;
  /** Where is counted what was done, so that it is known after a failure too. */
  readonly fixed: FixedKeys;
  readonly signal: AbortSignal;
}

/** @throws TargetError when a node fails, or refuses. */
export async function fixKeys(
  survey: Survey,
  { timeoutMs, fixed, signal }: FixOptions,
): Promise<void> {
  const claims = claimsOf(survey.lines);
  const pool = new ConnectionPool();
  const connectionTo = lanes(({ endpoint }: SurveyedNode) =>
    pool.add(connect(endpoint, { timeoutMs })),
  );
  const stop = new AbortController();

  function isStopped(): boolean {
    return signal.aborted || stop.signal.aborted || fixed.conflict !== undefined;
  }

  async function fixNode(node: SurveyedNode): Promise<void> {
    await forEach(node.strays, stop.signal, slotsAtOnce, async ({ slot }) => {
      const owner = survey.nodes.find(({ id }) => id === claims[slot]?.[0]);
      if (!owner || isStopped()) return;
      // A slot that its owner is giving to this very node: its keys are where they should be.
      if (owner.own?.migrating.get(slot) === node.id) return;
      const [here, there] = await Promise.all([connectionTo(node), connectionTo(owner)]);
      const wasOpen = node.own?.importing.has(slot) ?? false;
      const hasReplica = survey.lines.some(({ masterId }) => masterId === owner.id);
      const work = { slot, here, there, owner, wasOpen, hasReplica, timeoutMs, fixed, signal };
      await fixSlot(work);
    });
    if (!isStopped()) await closeEmpty(node);
  }

  /**
   * Slots that the node takes, but no node gives: it found keys of theirs when it started, and these
   * have gone since, expired or taken away by hand.
   */
  async function closeEmpty(node: SurveyedNode): Promise<void> {
    const waiting = openWithoutGiver(node, survey);
    if (waiting.length === 0) return;
    const here = await connectionTo(node);
    const say = refusing(here.address, (words) => askAt(here, words));
    // Somebody may have begun to move a slot there since.
    const now = await Promise.all(
      survey.nodes.map(async (one) => {
        const connection = await connectionTo(one);
        const ask = refusing(one.address, (words) => askAt(connection, words));
        return { ...one, own: ownLine(parseNodes(textOf(await ask(['CLUSTER', 'NODES'])), '')) };
      }),
    );
    const self = now.find(({ id }) => id === node.id) ?? node;
    const still = new Set(openWithoutGiver(self, { ...survey, nodes: now }));
    const slots = waiting.filter((slot) => still.has(slot));
    await forEach(slots, stop.signal, slotsAtOnce, async (slot) => {
      if (isStopped() || (await say(['CLUSTER', 'COUNTKEYSINSLOT', slot])) !== 0) return;
      await say(['CLUSTER', 'SETSLOT', slot, 'STABLE']);
    });
  }

  const ended = await Promise.allSettled(
    survey.nodes.map((node) =>
      fixNode(node).catch((error: unknown) => {
        stop.abort();
        throw error;
      }),
    ),
  );
  pool.close();
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}

interface SlotWork {
  readonly slot: number;
  /** Where the stray keys are. */
  readonly here: Connection;
  /** Where they belong. */
  readonly there: Connection;
  readonly owner: SurveyedNode;
  /** The node had it open already, as one that found such keys at its start has. */
  readonly wasOpen: boolean;
  readonly hasReplica: boolean;
  readonly timeoutMs: number;
  readonly fixed: FixedKeys;
  readonly signal: AbortSignal;
}

async function fixSlot(work: SlotWork): Promise<void> {
  const { slot, here, owner, wasOpen } = work;
  const say = refusing(here.address, (words) => askAt(here, words));
  if (!wasOpen) await say(['CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id]);
  let isEmpty = false;
  try {
    isEmpty = await emptySlot(say, work);
  } finally {
    // What was not open before is not left open, whatever happened.
    if (isEmpty || !wasOpen) await say(['CLUSTER', 'SETSLOT', slot, 'STABLE']);
  }
}

/** @returns whether no key is left. */
async function emptySlot(say: Asker, work: SlotWork): Promise<boolean> {
  const { slot, here, fixed, signal } = work;
  let keys: Buffer[];
  do {
    keys = (await say(['CLUSTER', 'GETKEYSINSLOT', slot, keysAtOnce])) as Buffer[];
    const before = fixed.moved + fixed.deleted;
    const gone = await takeHome(keys, work);
    if (keys.length > 0 && fixed.moved + fixed.deleted + gone === before && !fixed.conflict) {
      throw new TargetError(`${here.address} lists keys of slot ${String(slot)} that it lacks.`);
    }
  } while (keys.length > 0 && !fixed.conflict && !signal.aborted);
  return keys.length === 0;
}

/** @returns how many had expired meanwhile. */
async function takeHome(keys: readonly Buffer[], work: SlotWork): Promise<number> {
  const { here, there, fixed } = work;
  const stray = refusing(here.address, (words) => asking(here, words));
  const copies = await Promise.all(
    keys.map(async (key) => {
      const [ttlMs, payload] = await Promise.all([stray(['PTTL', key]), stray(['DUMP', key])]);
      // To RESTORE, 0 is forever.
      return { key, ttlMs: Number(ttlMs) < 0 ? 0 : Math.max(1, Number(ttlMs)), payload };
    }),
  );
  const found = copies.filter(({ payload }) => Buffer.isBuffer(payload));
  const answers = await Promise.all(
    found.map(({ key, ttlMs, payload }) =>
      askAt(there, ['RESTORE', key, ttlMs, payload as Buffer]),
    ),
  );
  await awaitReplica(work);
  const removing: Promise<Reply>[] = [];
  for (const [at, { key }] of found.entries()) {
    const answer = answers[at];
    const isBusy = answer instanceof ErrorReply && answer.code === 'BUSYKEY';
    if (answer instanceof ErrorReply && !isBusy) {
      await Promise.all(removing);
      throw new TargetError(`${there.address} refused a stray key: ${answer.text}`);
    }
    if (!isBusy && answer !== 'OK') {
      await Promise.all(removing);
      throw new TargetError(`${there.address} sent a malformed reply to RESTORE.`);
    }
    if (isBusy) {
      const apart = await differs(key, work);
      if (apart !== undefined) {
        fixed.conflict ??= { key, message: apart, slot: work.slot, node: here.address };
        continue;
      }
      fixed.deleted++;
    } else fixed.moved++;
    removing.push(stray(['DEL', key]));
  }
  await Promise.all(removing);
  return copies.length - found.length;
}

/** Where the owner has replicas, one of them must have what was restored before it is deleted here. */
async function awaitReplica({ there, hasReplica, timeoutMs }: SlotWork): Promise<void> {
  if (!hasReplica) return;
  const count = await askAt(there, ['WAIT', 1, Math.ceil(timeoutMs / 2)]);
  if (Number(textOf(count)) >= 1) return;
  throw new TargetError(
    `No replica of ${there.address} took the keys in time: repair its replication first; nothing was deleted.`,
  );
}

/** @returns how the owner's value differs; undefined: it is the same, or is not here any more. */
async function differs(key: Buffer, { slot, here, there }: SlotWork): Promise<string | undefined> {
  const found = await compareValue(key, key, sideOf(here, { asking: true }), sideOf(there));
  if (found.same || found.gone === 'source') return undefined;
  const owner = `the owner of its slot ${String(slot)}, ${there.address}`;
  return found.gone === 'target'
    ? `it lies on ${here.address}, and ${owner}, lost it while the two were compared`
    : `it lies on ${here.address}, and ${owner}, has another value of it (${found.what})`;
}

/** Asks a node. @throws RefusedError when it refuses. */
type Asker = (words: readonly Word[]) => Promise<Reply>;

function refusing(name: string, ask: (words: readonly Word[]) => Promise<Reply>): Asker {
  return async (words) => {
    const reply = await ask(words);
    if (!(reply instanceof ErrorReply)) return reply;
    throw new RefusedError(`${name} refused ${String(words[0])}: ${reply.text}`, reply.text);
  };
}

function asking(connection: Connection, words: readonly Word[]): Promise<Reply> {
  connection.call('ASKING').catch(() => undefined);
  return askAt(connection, words);
}
