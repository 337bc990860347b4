/**
 * What the nodes can make sense of: payloads of which version, and types of which modules.
 *
 * Whether they take the source's payloads (DUMP) is found out by trying: a server
 * refuses those of a newer one, whatever is in them. Where they don't, values travel element by
 * element.
 *
 * The versions that servers name do not tell: Valkey calls itself 7.2.4 for ever, and its payloads
 * change all the same. What counts is the number at the end of a payload, which is looked at before
 * what is in it. So a payload with that number and nothing of worth in it is sent: it is refused in
 * one way or the other, and nothing is written.
 */
import type { BinaryReply, Control, ControlReply } from '../redis/control.js';
import { openControl } from '../redis/control.js';
import { RefusedError } from '../errors.js';
import type { ReportedFailure } from '../report.js';
import type { ClusterTopology } from '../redis/topology.js';
import { isVersionRefusal } from '../movers/refused-keys.js';
import { temporaryNameIn } from '../movers/elements/temporary.js';
import { headOfDump } from '../sources/dump/input.js';
import { Crc64 } from '../sources/rdb/crc64.js';
import type { Node } from '../types.js';

/** How many pages of keys are looked at for one that is small, and how large a page is. */
const pages = 8;
const pageKeys = 32;
const smallBytes = 64 * 1024;
const smallElements = 64;

/** The commands that tell how large a value of each type is. */
const lengths: Readonly<Record<string, readonly [word: string, most: number]>> = {
  string: ['STRLEN', smallBytes],
  list: ['LLEN', smallElements],
  set: ['SCARD', smallElements],
  zset: ['ZCARD', smallElements],
  hash: ['HLEN', smallElements],
  stream: ['XLEN', smallElements],
};

/** A payload ends with two bytes of its version, and eight of its checksum. */
const versionBytes = 2;
const checksumBytes = 8;
/** No server knows a type of this number. */
const noType = 0xff;

/** @returns who refuses, and in which words; undefined: nobody, or there is nothing to try with. */
export async function payloadRefusal(
  source: Control,
  nodes: readonly Node[],
  topology: ClusterTopology,
  timeoutMs: number,
): Promise<string | undefined> {
  const version = await payloadVersion(source);
  if (!version) return undefined;
  const payload = emptyPayload(version);
  const refusals = await Promise.all(
    nodes.map((node) => refusalOf(node, payload, topology, timeoutMs)),
  );
  return refusals.find((refusal) => refusal !== undefined);
}

/** As it stands at the end of the source's payloads; undefined where none can be had cheaply. */
async function payloadVersion(source: Control): Promise<Buffer | undefined> {
  try {
    let cursor: BinaryReply = Buffer.from('0');
    for (let page = 0; page < pages; page++) {
      const answer: BinaryReply = await source.callBinary('SCAN', cursor, 'COUNT', pageKeys);
      const [next, keys] = Array.isArray(answer) ? answer : [];
      for (const key of Array.isArray(keys) ? keys.slice(0, pageKeys) : []) {
        const version = Buffer.isBuffer(key) ? await versionIn(source, key) : undefined;
        if (version) return version;
      }
      if (!Buffer.isBuffer(next) || next.toString() === '0') return undefined;
      cursor = next;
    }
  } catch (error) {
    // It may not be allowed, and then shows with the first value that is refused.
    if (!(error instanceof RefusedError)) throw error;
  }
  return undefined;
}

async function versionIn(source: Control, key: Buffer): Promise<Buffer | undefined> {
  const [word, most] = lengths[String(await source.call('TYPE', key))] ?? [];
  if (word === undefined) return undefined;
  const length: ControlReply = await source.call(word, key);
  if (Number(length) > Number(most)) return undefined;
  const payload = await source.callBinary('DUMP', key);
  if (!Buffer.isBuffer(payload) || payload.length < versionBytes + checksumBytes) return undefined;
  return payload.subarray(-versionBytes - checksumBytes, -checksumBytes);
}

function emptyPayload(version: Buffer): Buffer {
  const body = Buffer.from([noType, ...version]);
  const checksum = Buffer.alloc(checksumBytes);
  const sum = new Crc64();
  sum.update(body, 0, body.length);
  sum.write(checksum, 0);
  return Buffer.concat([body, checksum]);
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
    await control.call('RESTORE', temporaryNameIn(slot), 0, payload);
    return undefined;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return isVersionRefusal(error.reply) ? `${node.address} answered: ${error.reply}` : undefined;
  } finally {
    control.close();
  }
}

/** The RDB version of servers from a version on (rdb.h). */
const rdbVersions: readonly (readonly [since: number, rdb: number])[] = [
  [70400, 12],
  [70200, 11],
  [70000, 10],
  [50000, 9],
  [40000, 8],
  [30200, 7],
];
const oldestRdbVersion = 6;
const headerBytes = 9;

/** The newest that a server of this version takes. */
export function rdbVersionOf(versionNumber: number): number {
  return rdbVersions.find(([since]) => versionNumber >= since)?.[1] ?? oldestRdbVersion;
}

/** @returns 0 where it does not stand at the file's head, or that can be read only once (a pipe). */
export async function versionOfDump(path: string): Promise<number> {
  const [, digits = '0'] = /^REDIS(\d{4})/.exec(await headOfDump(path, headerBytes)) ?? [];
  return Number(digits);
}

/**
 * The modules of a server; none where it may not be asked. A node without a module can't restore values
 * of its types: which modules are lacking is said before the start, and keys that stay are reported
 * with their type.
 */
export async function modulesOf(control: Control): Promise<ReadonlySet<string>> {
  const rows = await control.call('MODULE', 'LIST').catch(() => undefined);
  const names = (Array.isArray(rows) ? rows : []).flatMap((row) =>
    Array.isArray(row) ? [String(row[row.indexOf('name') + 1])] : [],
  );
  return new Set(names);
}

/** What to say when not all nodes have what the source has; undefined: nothing. */
export function lackingModules(
  source: ReadonlySet<string>,
  nodes: readonly { readonly address: string; readonly modules: ReadonlySet<string> }[],
): string | undefined {
  const lacking = [...source].filter((name) => nodes.some(({ modules }) => !modules.has(name)));
  if (lacking.length === 0) return undefined;
  const where = nodes.filter(({ modules }) => lacking.some((name) => !modules.has(name)));
  return `The source has ${lacking.length === 1 ? 'a module' : 'modules'} that ${where.map(({ address }) => address).join(', ')} ${where.length === 1 ? 'lacks' : 'lack'}: ${lacking.join(', ')}. Keys of ${lacking.length === 1 ? 'its' : 'their'} types can't be restored there, and stay at the source.`;
}

/** The failures, with the type of each value that a node could make no sense of. */
export async function nameTypes(
  failures: readonly ReportedFailure[],
  source: Control,
): Promise<readonly ReportedFailure[]> {
  return Promise.all(
    failures.map(async (failure) => {
      if (!failure.message.includes('Bad data format')) return failure;
      const key = Buffer.from(failure.key, failure.keyEncoding);
      const type = await source.call('TYPE', key).catch(() => 'none');
      if (type === 'none') return failure;
      const message = `its type is ${String(type)}, which the node does not know: ${failure.message}`;
      return { ...failure, message };
    }),
  );
}
