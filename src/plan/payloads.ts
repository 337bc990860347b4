/** What the nodes can make sense of: files of which version, and types of which modules. */
import {
  type Control,
  type BinaryReply,
  type ControlReply,
  openControl,
} from '../redis/control.js';
import type { ServerFacts } from '../redis/server.js';
import type { ReportedFailure } from '../report.js';
import { headOfDump } from '../sources/dump/input.js';
import { type FileVersion, fileVersionOf, headerBytes } from '../sources/rdb/file-version.js';
import { RefusedError } from '../errors.js';
import { temporaryNameIn } from '../movers/elements/writer.js';
import { isVersionRefusal } from '../movers/refused-keys.js';
import type { PayloadRewrite } from '../movers/relay/payload-rewrite.js';
import { payloadTrailerBytes, slotOf } from '../redis/frames.js';
import type { ClusterTopology } from '../redis/topology.js';
import { Crc64 } from '../redis/crc64.js';
import { nameFilter, nameLike } from '../sources/glob.js';
import type { PatienceOptions } from '../options/options.js';
import type { Node } from '../types.js';
import { type NameOptions, namesAtNodes } from './rights.js';
import type { ServerSourceFacts } from './source-facts.js';

/** Of Redis 2.6; all but the oldest servers take payloads of older ones. */
export const oldestPayloadVersion = 6;

/** What both products read: whatever it is told to be of, a file's value is understood if its type is known. */
const newestCommonVersion = 11;

/** Under which version values of files are sent that are of no type that only one product has. */
export function payloadVersionFor(rdbVersion: number): number {
  return Math.min(rdbVersion, newestCommonVersion);
}

/** Whether a server reads files of that version: Redis and Valkey count theirs apart. */
export function readsFile(
  { product, rdbVersion }: Pick<ServerFacts, 'product' | 'rdbVersion'>,
  file: FileVersion,
): boolean {
  if (file.number <= newestCommonVersion) return file.number <= rdbVersion;
  return file.product === product && file.number <= rdbVersion;
}

/** @returns undefined where it does not stand at the file's head, or that can be read only once (a pipe). */
export async function versionOfDump(path: string): Promise<FileVersion | undefined> {
  return fileVersionOf(await headOfDump(path, headerBytes));
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
  // Valkey's script engine, which has no types.
  return new Set(names.filter((name) => name !== 'lua'));
}

/** What to say when not all nodes have what the source has; undefined: nothing. */
export function lackingModules(
  source: ReadonlySet<string>,
  nodes: readonly { readonly address: string; readonly modules: ReadonlySet<string> }[],
): string | undefined {
  const lacking = [...source].filter((name) => nodes.some(({ modules }) => !modules.has(name)));
  if (lacking.length === 0) return undefined;
  const where = nodes.filter(({ modules }) => lacking.some((name) => !modules.has(name)));
  return `The source has ${lacking.length === 1 ? 'a module' : 'modules'} that ${where.map(({ address }) => address).join(', ')} ${where.length === 1 ? 'lacks' : 'lack'}: ${lacking.join(', ')}. Keys of ${lacking.length === 1 ? 'its' : 'their'} types, if there are any, can't be restored there, and stay at the source.`;
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

/*
 * Whether the nodes take the source's payloads (DUMP), found out by trying: a server refuses those of a
 * newer version, whatever is in them. Where they don't, payloads get a version that the nodes take
 * (movers/relay/payload-rewrite.ts), as far as their types are known there; all else travels element by element.
 *
 * The versions that servers name do not tell: Valkey calls itself 7.2.4 for ever, and its payloads
 * change all the same. What counts is the number at the end of a payload, which is looked at before
 * what is in it. So a payload with that number and nothing of worth in it is sent: it is refused in
 * one way or the other, and nothing is written. Nor is it by the payloads with which types are tried: they
 * have expired long ago.
 */

export type PayloadFacts = Pick<ServerSourceFacts, 'payloadRefusal' | 'payloadRewrite'>;

/** How many pages of keys are looked at for one that is small, and how large a page is. */
const pages = 8;
const pageKeys = 32;
/** Where only some are wanted, which may be few. */
const selectedPageKeys = 4096;
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
/** No server knows a type of this number. */
const noType = 0xff;

/** Redis and Valkey had the same versions up to this one, and the same types. */
const lastCommonVersion = 11;
const firstOfValkey = 80;

/**
 * What a payload of each type looks like: its body in hex. These are the types that servers give whose
 * versions other servers refuse; the values are of one element or two.
 */
const commonBodies = {
  0: '0176',
  2: '010161',
  4: '0101610162',
  5: '010161000000000000f03f',
  11: '0c020000000200000001000200',
  16: '0c0c00000002008161020101ff',
  17: '0c0c00000002008161020101ff',
  18: '01020d0d0000000200816102816202ff',
  // Streams without groups, in which alone the two differ.
  19: '0110000000000000000100000000000000011d1d0000000a0001010001010181610200010201000100018162020401ff010101010100000100',
  20: '0d0d0000000200816102816202ff',
  21: '0110000000000000000100000000000000011d1d0000000a0001010001010181610200010201000100018162020401ff010101010100000100',
} as const;
/** From 22 on, Redis and Valkey mean different things by one number. The fields' deadline is in 2096. */
const redisBodies = {
  24: '00409452a3030000010101610162',
  25: '00409452a303000017170000000300816102816202f400409452a303000009ff',
} as const;
const valkeyBodies = { 22: '010161016200409452a3030000' } as const;

/** @returns whether payloads are refused, and how they are taken all the same; nothing: there is nothing to try with. */
export async function tryPayloads(
  source: Control,
  nodes: readonly Node[],
  topology: ClusterTopology,
  options: NameOptions & Pick<PatienceOptions, 'timeoutMs'>,
): Promise<PayloadFacts> {
  const { match, timeoutMs } = options;
  const version = await payloadVersion(source, match);
  if (version === undefined) return { payloadRefusal: undefined, payloadRewrite: undefined };
  const trials = trialsAt(nodes, topology, options);
  try {
    await Promise.all(trials.map((trial) => trial.open(topology, timeoutMs)));
    const refusals = await Promise.all(trials.map((trial) => trial.refusalOf(version)));
    const payloadRefusal = refusals.find((refusal) => refusal !== undefined);
    if (payloadRefusal === undefined) return { payloadRefusal, payloadRewrite: undefined };
    return { payloadRefusal, payloadRewrite: await rewriteFor(version, trials) };
  } finally {
    for (const trial of trials) trial.close();
  }
}

/** Whether all nodes take this payload of the source's, of which they keep nothing. */
export async function tryPayload(
  payload: Buffer,
  nodes: readonly Node[],
  topology: ClusterTopology,
  options: NameOptions & Pick<PatienceOptions, 'timeoutMs'>,
): Promise<boolean> {
  const trials = trialsAt(nodes, topology, options);
  try {
    await Promise.all(trials.map((trial) => trial.open(topology, options.timeoutMs)));
    const taken = await Promise.all(trials.map((trial) => trial.takesPayload(payload)));
    return !taken.includes(false);
  } finally {
    for (const trial of trials) trial.close();
  }
}

function trialsAt(
  nodes: readonly Node[],
  topology: ClusterTopology,
  options: NameOptions,
): readonly NodeTrial[] {
  return nodes.flatMap((node) => {
    const slot = topology.owners.indexOf(topology.nodes.indexOf(node));
    const name = slot < 0 ? undefined : nameIn(slot, namesAtNodes(options));
    return name === undefined ? [] : [new NodeTrial(node, name)];
  });
}

/** The newest version that all nodes take, and the types that they know of those that come with it. */
async function rewriteFor(
  version: number,
  trials: readonly NodeTrial[],
): Promise<PayloadRewrite | undefined> {
  for (const other of olderVersions(version)) {
    const answers = await Promise.all(trials.map((trial) => trial.takes(other)));
    if (answers.includes(false)) continue;
    const bodies = Object.entries(bodiesOf(version, other));
    const types = new Uint8Array(256);
    for (const [type, body] of bodies) {
      const payload = payloadOf(Buffer.from([Number(type), ...Buffer.from(body, 'hex')]), other);
      const taken = await Promise.all(trials.map((trial) => trial.takesPayload(payload)));
      if (!taken.includes(false)) types[Number(type)] = 1;
    }
    return types.includes(1) ? { version: other, types, mask: maskOf(version, other) } : undefined;
  }
  return undefined;
}

/** Those of the same product, then those that both have. */
function olderVersions(version: number): readonly number[] {
  const firstOfProduct = version >= firstOfValkey ? firstOfValkey : lastCommonVersion + 1;
  const versions: number[] = [];
  for (let other = version - 1; other >= firstOfProduct; other--) versions.push(other);
  const newest = Math.min(version - 1, lastCommonVersion);
  for (let other = newest; other >= oldestPayloadVersion; other--) versions.push(other);
  return versions;
}

function bodiesOf(version: number, other: number): Readonly<Record<number, string>> {
  if (other <= lastCommonVersion) return commonBodies;
  return { ...commonBodies, ...(version >= firstOfValkey ? valkeyBodies : redisBodies) };
}

/** What makes of a trailer of one version that of another. */
export function maskOf(version: number, other: number): Uint8Array {
  const mask = Buffer.alloc(payloadTrailerBytes);
  mask.writeUInt16LE(version ^ other, 0);
  const sum = new Crc64();
  sum.update(mask, 0, versionBytes);
  sum.write(mask, versionBytes);
  return mask;
}

/**
 * A name that a user may use who is restricted to these; it may be temporary, since nothing is kept under it.
 * @returns undefined: none of this slot is known, as where they all have one hash tag.
 */
function nameIn(slot: number, globs: readonly string[]): string | undefined {
  const temporary = temporaryNameIn(slot);
  if (globs.length === 0) return temporary;
  const names = globs.flatMap((glob) => nameLike(glob, temporary) ?? []);
  return names.find((name) => {
    const bytes = Buffer.from(name);
    return slotOf(bytes, 0, bytes.length) === slot;
  });
}

/** As it stands at the end of the source's payloads; undefined where none can be had cheaply. */
async function payloadVersion(
  source: Control,
  match: readonly string[],
): Promise<number | undefined> {
  // Of those that are selected, a user may look at no others.
  const isWanted = nameFilter({ match, exclude: [] });
  const count = match.length > 0 ? selectedPageKeys : pageKeys;
  try {
    let cursor: BinaryReply = Buffer.from('0');
    for (let page = 0; page < pages; page++) {
      const answer: BinaryReply = await source.callBinary('SCAN', cursor, 'COUNT', count);
      const [next, keys] = Array.isArray(answer) ? answer : [];
      const names = (Array.isArray(keys) ? keys : []).filter((key) => Buffer.isBuffer(key));
      for (const key of names.filter(isWanted).slice(0, pageKeys)) {
        const version = await versionIn(source, key);
        if (version !== undefined) return version;
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

async function versionIn(source: Control, key: Buffer): Promise<number | undefined> {
  const [word, most] = lengths[String(await source.call('TYPE', key))] ?? [];
  if (word === undefined) return undefined;
  const length: ControlReply = await source.call(word, key);
  if (Number(length) > Number(most)) return undefined;
  const payload = await source.callBinary('DUMP', key);
  if (!Buffer.isBuffer(payload) || payload.length < payloadTrailerBytes) return undefined;
  return payload.readUInt16LE(payload.length - payloadTrailerBytes);
}

/** @param body the type and the value. */
export function payloadOf(body: Buffer, version: number): Buffer {
  const payload = Buffer.concat([body, Buffer.alloc(payloadTrailerBytes)]);
  const sumAt = body.length + versionBytes;
  payload.writeUInt16LE(version, body.length);
  const sum = new Crc64();
  sum.update(payload, 0, sumAt);
  sum.write(payload, sumAt);
  return payload;
}

/** What one node says to payloads. */
class NodeTrial {
  #control: Control | undefined;

  /** @param name of a key that does not exist, in a slot that it owns. */
  constructor(
    readonly node: Node,
    readonly name: string,
  ) {}

  async open(topology: ClusterTopology, timeoutMs: number): Promise<void> {
    this.#control = await openControl(topology.endpointOf(this.node), { side: 'to', timeoutMs });
  }

  /** In which words it refuses all payloads of this version; undefined: it does not. */
  async refusalOf(version: number): Promise<string | undefined> {
    const reply = await this.#restore(0, payloadOf(Buffer.from([noType]), version));
    return isVersionRefusal(reply) ? `${this.node.address} answered: ${reply}` : undefined;
  }

  /** Whether it has looked beyond the version. */
  async takes(version: number): Promise<boolean> {
    const reply = await this.#restore(0, payloadOf(Buffer.from([noType]), version));
    return reply.includes('Bad data format');
  }

  /** Whether it takes just this payload, which has expired: it keeps nothing of it. */
  async takesPayload(payload: Buffer): Promise<boolean> {
    return (await this.#restore(1, payload, 'ABSTTL')) === 'OK';
  }

  close(): void {
    this.#control?.close();
  }

  async #restore(ttl: number, payload: Buffer, ...words: string[]): Promise<string> {
    try {
      return String(await this.#control?.call('RESTORE', this.name, ttl, payload, ...words));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return error.reply;
    }
  }
}
