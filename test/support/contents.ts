/**
 * What a key holds, in a form that can be compared: equal values look equal here, however a server
 * keeps them (two DUMPs of equal values need not be equal bytes).
 */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

export interface Contents {
  readonly type: string;
  /** The value as text, one byte a character; long ones as their digest. */
  readonly value: string;
  /** When it expires, by its server's clock, which is this machine's; undefined: never. */
  readonly deadlineMs: number | undefined;
}

/** Contents of a key, or undefined when there is none. */
export async function readContents(client: Redis, key: Buffer): Promise<Contents | undefined> {
  // One transaction would be exact, but then a value would have to be read before its type is known.
  const type = await client.type(key);
  if (type === 'none') return undefined;
  const [value, ttlMs, nowMs] = await Promise.all([
    readValue(client, key, type),
    client.pttl(key),
    timeOf(client),
  ]);
  const text = JSON.stringify(value);
  return {
    type,
    value: text.length > 2000 ? digest(Buffer.from(text)) : text,
    deadlineMs: ttlMs < 0 ? undefined : nowMs + ttlMs,
  };
}

/** The server's own, because an answer may lie here for long before it is read; ours if it has none. */
async function timeOf(client: Redis): Promise<number> {
  try {
    const [seconds = 0, micros = 0] = await client.time();
    return seconds * 1000 + micros / 1000;
  } catch (error) {
    if (!/unknown command/i.test(String(error))) throw error;
    return Date.now();
  }
}

/** How long bytes are told apart; their beginning is for people. */
function digest(bytes: Buffer): string {
  const hash = createHash('sha256').update(bytes).digest('hex');
  return `${bytes.toString('latin1', 0, 100)}… (${String(bytes.length)} bytes, ${hash})`;
}

async function readValue(client: Redis, key: Buffer, type: string): Promise<unknown> {
  const read = async (name: string, ...args: (string | number)[]) =>
    asText(await client.callBuffer(name, key, ...args));
  const xinfo = async (...words: (string | number)[]) =>
    asText(await client.callBuffer('XINFO', 'STREAM', key, ...words));
  switch (type) {
    case 'string':
      return read('GET');
    case 'list':
      return read('LRANGE', 0, -1);
    case 'set':
      return sorted(await read('SMEMBERS'));
    case 'hash':
      return sorted(pairs(await read('HGETALL')));
    case 'zset':
      return read('ZRANGE', 0, -1, 'WITHSCORES');
    case 'stream':
      // Before 6.0 there is no FULL.
      return withoutLayout(await xinfo('FULL', 'COUNT', 0).catch(() => xinfo()));
    default:
      throw new Error(`cannot compare values of type ${type}`);
  }
}

/** Buffers as one character a byte, all the way down. */
function asText(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.length > 2000 ? digest(reply) : reply.toString('latin1');
  return Array.isArray(reply) ? reply.map(asText) : reply;
}

function sorted(list: unknown): unknown {
  if (!Array.isArray(list)) return list;
  return list.map((item) => JSON.stringify(item)).sort();
}

function pairs(list: unknown): unknown {
  if (!Array.isArray(list)) return list;
  return list.flatMap((item: unknown, at) =>
    at % 2 === 0 ? [[item, list[at + 1] as unknown]] : [],
  );
}

/** How a stream's radix tree is laid out may differ; its entries, groups and consumers may not. */
function withoutLayout(info: unknown): unknown {
  const fields = pairs(info);
  if (!Array.isArray(fields)) return info;
  return fields.filter((field) => !String((field as unknown[])[0]).startsWith('radix-tree-'));
}
