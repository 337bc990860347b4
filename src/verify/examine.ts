/** A close look at one key of a source: whether its copy in the cluster differs, and in what. */
import { atSource, compareValue, inCluster, type Side, sideOf } from '../compare/value.js';
import { RefusedError } from '../errors.js';
import { askAt } from '../redis/ask.js';
import type { Connection } from '../redis/connection.js';
import { slotOf } from '../redis/slot.js';
import type { Cluster, Server } from './servers.js';
import type { Difference } from './differences.js';

export interface Examination {
  readonly source: Server;
  readonly cluster: Cluster;
  readonly toleranceMs: number;
  /** Types and TTLs only. */
  readonly fast: boolean;
}

export type Finding = Pick<Difference, 'kind' | 'message'>;

/**
 * @param name what the key is called in the cluster.
 * @returns how the key differs; `gone` when the source has it no more, undefined when it does not.
 */
export async function examine(
  key: Buffer,
  by: Examination,
  name = key,
): Promise<Finding | 'gone' | undefined> {
  const connection = await by.source.connection();
  try {
    return await look(key, name, by, sideOf(connection, { where: atSource }));
  } catch (error) {
    const where = redirectionIn(error);
    if (where === undefined) throw error;
    if (where.code === 'ASK') return 'gone';
    return misplaced(key, name, by, connection, where.address);
  }
}

async function look(
  key: Buffer,
  name: Buffer,
  { cluster, toleranceMs, fast }: Examination,
  source: Side,
): Promise<Finding | 'gone' | undefined> {
  const target: Side = {
    name: 'the cluster',
    where: inCluster,
    ask: (words) => cluster.ask(name, words),
  };
  const found = await compareValue(key, name, source, target, { toleranceMs, typesOnly: fast });
  if (found.same) return undefined;
  if (found.gone === 'source') return 'gone';
  if (found.gone === undefined) return { kind: found.kind, message: found.what };
  // What is about to expire may have done so over there.
  if (found.ttlMs >= 0 && found.ttlMs <= toleranceMs) return 'gone';
  return { kind: 'missing', message: `a ${found.type} ${atSource}` };
}

/**
 * A node of a source cluster redirects questions about a key that it has listed itself: either the slot
 * is on its way to the node, or has gone away with the key, or the key lies where clients don't find it.
 */
async function misplaced(
  key: Buffer,
  name: Buffer,
  by: Examination,
  connection: Connection,
  owner: string,
): Promise<Finding | 'gone' | undefined> {
  const slot = slotOf(key, 0, key.length);
  const where = `it lies on ${connection.address}, but its slot ${String(slot)} is ${owner}'s`;
  const mend = `"cluster-import check --to ${owner} --fix-keys" takes it home`;
  try {
    const found = await look(key, name, by, sideOf(connection, { where: atSource, asking: true }));
    if (typeof found !== 'object') return found;
    const message = `${found.message} (${where}; unless that slot is being moved, ${mend})`;
    return { kind: found.kind, message };
  } catch (error) {
    if (redirectionIn(error) === undefined) throw error;
  }
  if ((await askAt(connection, ['CLUSTER', 'COUNTKEYSINSLOT', slot])) === 0) return 'gone';
  return { kind: 'misplaced', message: `${where} (${mend})` };
}

/** Only sources redirect: what the cluster says of this kind is followed. */
function redirectionIn(error: unknown): { code: string; address: string } | undefined {
  if (!(error instanceof RefusedError)) return undefined;
  const [code = '', , address = ''] = error.reply.split(' ');
  return code === 'MOVED' || code === 'ASK' ? { code, address } : undefined;
}
