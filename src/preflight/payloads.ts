/**
 * Whether the cluster's nodes take the source's payloads (DUMP), found out by trying: a server
 * refuses those of a newer one, whatever is in them. Where they don't, values travel element by
 * element.
 */
import type { BinaryReply, Control } from '../redis/control.js';
import { openControl } from '../redis/control.js';
import { RefusedError } from '../errors.js';
import type { ClusterTopology } from '../redis/topology.js';
import { verdictOf } from '../movers/replies.js';
import { temporaryNameIn } from '../movers/elements/temporary.js';
import type { Node } from '../types.js';

/** How many keys are looked at for one that is small. */
const tries = 32;
const smallBytes = 64 * 1024;
const smallElements = 64;
/** Should we be killed, the key that was tried does not stay for long. */
const trialMs = 10_000;

/** The commands that tell how large a value of each type is. */
const lengths: Readonly<Record<string, readonly [word: string, most: number]>> = {
  string: ['STRLEN', smallBytes],
  list: ['LLEN', smallElements],
  set: ['SCARD', smallElements],
  zset: ['ZCARD', smallElements],
  hash: ['HLEN', smallElements],
  stream: ['XLEN', smallElements],
};

interface Versioned {
  readonly versionNumber: number;
}

/**
 * Tries only where the source is newer than a node.
 * @returns who refuses, and in which words; undefined: nobody, or there is nothing to try with.
 */
export async function payloadRefusal(
  source: Versioned & { readonly control: Control },
  masters: readonly (Versioned & { readonly node: Node })[],
  topology: ClusterTopology,
  timeoutMs: number,
): Promise<string | undefined> {
  const older = masters.filter((master) => isNewer(source.versionNumber, master.versionNumber));
  if (older.length === 0) return undefined;
  const payload = await somePayload(source.control);
  if (!payload) return undefined;
  const refusals = await Promise.all(
    older.map(({ node }) => refusalOf(node, payload, topology, timeoutMs)),
  );
  return refusals.find((refusal) => refusal !== undefined);
}

/** Payloads change with the second number of a version at the most. */
function isNewer(version: number, other: number): boolean {
  return Math.floor(version / 100) > Math.floor(other / 100);
}

async function somePayload(source: Control): Promise<Buffer | undefined> {
  for (let nth = 0; nth < tries; nth++) {
    const key = await source.callBinary('RANDOMKEY');
    if (!Buffer.isBuffer(key)) return undefined;
    const [word, most] = lengths[String(await source.call('TYPE', key))] ?? [];
    if (word === undefined || Number(await source.call(word, key)) > Number(most)) continue;
    const payload: BinaryReply = await source.callBinary('DUMP', key);
    if (Buffer.isBuffer(payload)) return payload;
  }
  return undefined;
}

async function refusalOf(
  node: Node,
  payload: Buffer,
  topology: ClusterTopology,
  timeoutMs: number,
): Promise<string | undefined> {
  const slot = topology.owners.indexOf(topology.nodes.indexOf(node));
  if (slot < 0) return undefined;
  const control = await openControl(topology.endpointOf(node), { side: 'to', timeoutMs });
  try {
    const name = temporaryNameIn(slot);
    await control.call('RESTORE', name, trialMs, payload);
    await control.call('DEL', name);
    return undefined;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const verdict = verdictOf(error.reply);
    const isRefusal = verdict.kind === 'failed' && verdict.class === 'version';
    return isRefusal ? `${node.address} answered: ${error.reply}` : undefined;
  } finally {
    control.close();
  }
}
