/** What a stream holds, as far as commands can set it: not when its consumers were last seen. */
import type { Redis } from 'ioredis';

/** How far the time of a delivery may shift on the way. */
const toleranceMs = 2000;

export interface StreamContents {
  readonly entries: unknown;
  readonly groups: readonly unknown[];
  /** When each pending entry was delivered, by the server's clock, which is this machine's. */
  readonly deliveredMs: readonly number[];
}

export async function readStream(client: Redis, key: string): Promise<StreamContents> {
  const info = fields(await client.call('XINFO', 'STREAM', key));
  const groups: unknown[] = [];
  const deliveredMs: number[] = [];
  for (const group of (await client.call('XINFO', 'GROUPS', key)) as unknown[]) {
    const about = fields(group);
    const name = String(about['name']);
    const consumers = (await client.call('XINFO', 'CONSUMERS', key, name)) as unknown[];
    const [rows, [seconds = 0, micros = 0]] = await Promise.all([
      client.xpending(key, name, '-', '+', 10_000),
      // The server's own, because an answer may lie here for long before it is read.
      client.time(),
    ]);
    const pending = rows as Pending[];
    const nowMs = seconds * 1000 + micros / 1000;
    deliveredMs.push(...pending.map(([, , idleMs]) => nowMs - idleMs));
    groups.push({
      about,
      consumers: consumers.map(fields).map((one) => [one['name'], one['pending']]),
      pending: pending.map(([id, consumer, , deliveries]) => [id, consumer, deliveries]),
    });
  }
  const position = [info['last-generated-id'], info['entries-added'], info['max-deleted-entry-id']];
  return { entries: [position, await client.xrange(key, '-', '+')], groups, deliveredMs };
}

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number];

export function sameDeliveries(one: StreamContents, other: StreamContents): boolean {
  return one.deliveredMs.every(
    (deliveredMs, at) => Math.abs(deliveredMs - Number(other.deliveredMs[at])) < toleranceMs,
  );
}

function fields(reply: unknown): Record<string, unknown> {
  const list = reply as unknown[];
  return Object.fromEntries(
    list.flatMap((name, at) => (at % 2 === 0 ? [[String(name), list[at + 1]]] : [])),
  );
}
