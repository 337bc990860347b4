/**
 * What a sample of the source's values tells: how fast it gives them, and, further down, which way they would take.
 *
 * How fast: a sample of them is read as the relay reads, many at a time
 * and nothing kept, for a moment; and nothing is deleted. (By GET and DUMP: MGET would be counted as
 * a command of the application's with several keys.)
 */
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { command } from '../redis/frames.js';
import { BulksReader } from '../redis/reply.js';
import type { Estimate, Plan } from './assess-report.js';
import type { SampledKey } from './key-sample.js';

/**
 * Moving takes so many times as long as reading: storing in the nodes, and seeing to what may be
 * deleted, come on top. Measured with small values, all servers on one machine.
 */
const timesReading = 3;
const forMs = 1000;
const valuesAtMost = 100_000;
/** As much at one time as the relay asks for, so that it is the server that is measured. */
const batchKeys = 512;
const batchBytes = 1024 * 1024;
const batchesAhead = 4;
/** Reading one of these could keep the source's clients waiting. */
const largeBytes = 4 * 1024 * 1024;

interface Batch {
  readonly commands: Buffer;
  readonly count: number;
}

/**
 * @param keys how many keys there are in all.
 * @returns undefined when there is nothing that may be read.
 */
export async function estimateTime(
  endpoint: Endpoint,
  sample: readonly SampledKey[],
  keys: number,
  timeoutMs: number,
): Promise<Estimate | undefined> {
  const db = mostSampled(sample);
  const some = sample.filter((one) => one.db === db && (one.bytes ?? 0) <= largeBytes);
  if (some.length === 0) return undefined;
  const large = sample.map(({ bytes = 0 }) => bytes).filter((bytes) => bytes > largeBytes);
  const batches = batchesOf(some);
  const read = { values: 0, bytes: 0, next: 0 };
  const connection = await connect({ ...endpoint, db }, { timeoutMs });

  async function next(): Promise<void> {
    const batch = batches[read.next++ % batches.length] as Batch;
    const bytes = await readBatch(connection, batch);
    read.bytes += bytes;
    read.values += batch.count;
  }

  try {
    // The first reads are slow: what they take is not counted.
    await Promise.all(Array.from({ length: batchesAhead }, next));
    Object.assign(read, { values: 0, bytes: 0 });
    const startedMs = performance.now();
    const elapsedMs = (): number => performance.now() - startedMs;
    const goOn = async (): Promise<void> => {
      do await next();
      while (elapsedMs() < forMs && read.values < valuesAtMost);
    };
    await Promise.all(Array.from({ length: batchesAhead }, goOn));
    const measuredMs = Math.max(1, elapsedMs());
    const smallMs = (measuredMs * keys) / Math.max(1, read.values);
    const largeShare = large.reduce((sum, bytes) => sum + bytes, 0) / sample.length;
    const largeMs = (measuredMs * keys * largeShare) / Math.max(1, read.bytes);
    return {
      durationMs: Math.round(timesReading * (smallMs + largeMs)),
      values: read.values,
      bytes: read.bytes,
      measuredMs: Math.round(measuredMs),
    };
  } finally {
    connection.close();
  }
}

function mostSampled(sample: readonly SampledKey[]): number {
  const counts = new Map<number, number>();
  for (const { db } of sample) counts.set(db, (counts.get(db) ?? 0) + 1);
  return [...counts].sort(([, one], [, other]) => other - one)[0]?.[0] ?? 0;
}

function batchesOf(some: readonly SampledKey[]): readonly Batch[] {
  const meanBytes = some.reduce((sum, { bytes = 0 }) => sum + bytes, 0) / some.length;
  const fitting = Math.floor(batchBytes / Math.max(1, meanBytes));
  const length = Math.max(1, Math.min(batchKeys, fitting));
  const words = some.map(({ key, type }) => command(type === 'string' ? 'GET' : 'DUMP', key));
  return Array.from({ length: Math.ceil(words.length / length) }, (_, at) => {
    const commands = words.slice(at * length, (at + 1) * length);
    return { commands: Buffer.concat(commands), count: commands.length };
  });
}

/** @returns how many bytes its values have. What is refused, or gone, has none. */
function readBatch(connection: Connection, { commands, count }: Batch): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    connection.out.append(commands);
    connection.expect(
      new BulksReader(
        {
          open: (valueBytes) => void (bytes += valueBytes),
          bytes: () => undefined,
          shut: () => undefined,
          nil: () => undefined,
          refused: () => undefined,
          end() {
            resolve(bytes);
          },
          fail: reject,
        },
        count,
      ),
    );
  });
}

/*
 * Which way the source's values would take to the cluster's nodes, and what would stay behind: told by the
 * sample, type by type, before anything moves. Strings travel as themselves, all others as payloads (DUMP), which
 * nodes may refuse for their version, or for the type of the value (plan/payloads.ts).
 */

type Way = NonNullable<Plan['ways']>[number]['way'];

/** Some sampled keys of one type. */
export interface SampledType {
  /** As TYPE names it. */
  readonly type: string;
  /** The payload's first byte; undefined: none was read. */
  readonly payloadType: number | undefined;
  readonly count: number;
}

/** What the nodes, all of them, take. */
export interface NodeFacts {
  /** Why they refuse payloads as they are; undefined: they don't. */
  readonly refusal: string | undefined;
  /** Under which version they take payloads, and of which types; undefined: under none. */
  readonly rewrite: { readonly version: number; readonly types: Uint8Array } | undefined;
  /** Types of modules that they do not know, as TYPE names them. */
  readonly unknownTypes: ReadonlySet<string>;
  readonly fieldDeadlines: boolean;
  readonly streams: boolean;
}

/** Types of every server; others are of modules. */
export const ownTypes: ReadonlySet<string> = new Set([
  'string',
  'list',
  'set',
  'zset',
  'hash',
  'stream',
]);

/** The types that hashes with deadlines of fields have in payloads: Redis' since 7.4, Valkey's since 9.0. */
const withFieldDeadlines: ReadonlySet<number> = new Set([22, 23, 24, 25]);

/** @param keys how many there are in all. */
export function waysOf(
  sample: readonly SampledType[],
  nodes: NodeFacts,
  keys: number,
): NonNullable<Plan['ways']> {
  const sampled = sample.reduce((sum, { count }) => sum + count, 0);
  const rows = new Map<string, { way: Way; type: string; why?: string; count: number }>();
  for (const one of sample) {
    const found = wayOf(one, nodes);
    const id = `${found.way} ${one.type} ${found.why ?? ''}`;
    const row = rows.get(id) ?? { ...found, type: one.type, count: 0 };
    row.count += one.count;
    rows.set(id, row);
  }
  return [...rows.values()]
    .sort((one, other) => other.count - one.count)
    .map(({ way, type, why, count }) => ({
      way,
      type,
      keys: Math.round((count / Math.max(1, sampled)) * keys),
      ...(why !== undefined && { why }),
    }));
}

function wayOf(
  { type, payloadType }: SampledType,
  { refusal, rewrite, unknownTypes, fieldDeadlines, streams }: NodeFacts,
): { readonly way: Way; readonly why?: string } {
  if (type === 'string') return { way: 'whole' };
  if (!ownTypes.has(type)) {
    // Nobody but its module knows what is in it.
    if (refusal !== undefined) return { way: 'stays', why: 'the nodes refuse its payload' };
    return unknownTypes.has(type)
      ? { way: 'stays', why: 'not all nodes have its module' }
      : { way: 'whole' };
  }
  if (type === 'stream' && !streams) return { way: 'stays', why: 'not all nodes know streams' };
  if (refusal === undefined) return { way: 'whole' };
  if (payloadType !== undefined && withFieldDeadlines.has(payloadType) && !fieldDeadlines) {
    return { way: 'stays', why: 'its fields have deadlines, which not all nodes know' };
  }
  if (!rewrite) return { way: 'elements' };
  // Where no payload was read, the types that most values have decide.
  return payloadType === undefined || rewrite.types[payloadType] === 1
    ? { way: 'rewritten' }
    : { way: 'elements' };
}
