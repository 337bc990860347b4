/**
 * How fast the source gives its values: a sample of them is read as the relay reads (deadline and
 * value of many keys at a time), for a moment, and nothing is deleted.
 */
import { connect, type Connection } from '../redis/connection.js';
import type { Endpoint } from '../redis/endpoint.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import { askAt } from '../verify/server.js';
import type { Estimate } from './report.js';
import type { SampledKey } from './sample.js';

const forMs = 1000;
const valuesAtMost = 50_000;
const batchKeys = 128;
const batchesAhead = 4;
/** Reading one of these could keep the source's clients waiting. */
const largeBytes = 4 * 1024 * 1024;

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
  const connection = await connect({ ...endpoint, db }, { timeoutMs });
  const read = { values: 0, bytes: 0, next: 0 };
  const startedMs = performance.now();
  const elapsedMs = (): number => performance.now() - startedMs;

  async function go(): Promise<void> {
    while (elapsedMs() < forMs && read.values < valuesAtMost) {
      const batch = Array.from(
        { length: Math.min(batchKeys, some.length) },
        () => some[read.next++ % some.length] as SampledKey,
      );
      const sizes = await Promise.all(batch.map((one) => readValue(connection, one)));
      read.values += sizes.length;
      read.bytes += sizes.reduce((sum, size) => sum + size, 0);
    }
  }

  try {
    await Promise.all(Array.from({ length: batchesAhead }, go));
    const measuredMs = Math.max(1, elapsedMs());
    const smallMs = (measuredMs * keys) / Math.max(1, read.values);
    const largeShare = large.reduce((sum, bytes) => sum + bytes, 0) / sample.length;
    const largeMs = (measuredMs * keys * largeShare) / Math.max(1, read.bytes);
    return {
      durationMs: Math.round(smallMs + largeMs),
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

async function readValue(connection: Connection, { key, type }: SampledKey): Promise<number> {
  const [, value] = await Promise.all([
    askAt(connection, ['PTTL', key]),
    askAt(connection, [type === 'string' ? 'GET' : 'DUMP', key]),
  ]);
  if (Buffer.isBuffer(value)) return value.length;
  return value instanceof ErrorReply ? 0 : textOf(value).length;
}
