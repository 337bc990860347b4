/**
 * Remembers what a source holds before a run, and says afterwards how a cluster differs from it.
 * The answer is a list of sentences, so that a failing test tells which keys and how.
 */
import type { Redis } from 'ioredis';
import { type Contents, readContents } from './contents.js';

/** Contents by key; keys as one character a byte. */
export type Snapshot = ReadonlyMap<string, Contents>;

/** How far a deadline may shift on the way. */
const deadlineToleranceMs = 1000;
/** Keys read at the same time. */
const width = 200;

/** Every key of a server (of one database of it) with what it holds. */
export async function snapshot(client: Redis): Promise<Snapshot> {
  return snapshotOf(await allKeys(client), () => client);
}

/** Some keys with what they hold, each asked where it should be. */
export async function snapshotOf(
  keys: readonly Buffer[],
  clientFor: (key: Buffer) => Redis,
): Promise<Snapshot> {
  const contents = new Map<string, Contents>();
  for (let at = 0; at < keys.length; at += width) {
    await Promise.all(
      keys.slice(at, at + width).map(async (key) => {
        const found = await readContents(clientFor(key), key);
        if (found !== undefined) contents.set(key.toString('latin1'), found);
      }),
    );
  }
  return contents;
}

/** The keys of several servers in one; throws when a key is on two of them. */
export async function snapshotOfAll(clients: readonly Redis[]): Promise<Snapshot> {
  const all = new Map<string, Contents>();
  for (const one of await Promise.all(clients.map(snapshot))) {
    for (const [key, contents] of one) {
      if (all.has(key)) throw new Error(`${JSON.stringify(key)} is on two servers`);
      all.set(key, contents);
    }
  }
  return all;
}

/** How the second differs from the first: nothing, when they are equal. */
export function differences(expected: Snapshot, found: Snapshot): readonly string[] {
  const missing = [...expected].flatMap(([key, contents]) =>
    difference(key, contents, found.get(key)),
  );
  const extra = [...found.keys()]
    .filter((key) => !expected.has(key))
    .map((key) => `${name(key)} should not be there`);
  return [...missing, ...extra];
}

function difference(key: string, wanted: Contents, found: Contents | undefined): readonly string[] {
  if (found === undefined) return [`${name(key)} (${wanted.type}) is missing`];
  if (found.type !== wanted.type) return [`${name(key)} is a ${found.type}, not a ${wanted.type}`];
  const sentences: string[] = [];
  if (found.value !== wanted.value) {
    sentences.push(`${name(key)} holds ${found.value}, not ${wanted.value}`);
  }
  const shiftMs = (found.deadlineMs ?? Infinity) - (wanted.deadlineMs ?? Infinity);
  // Neither expires: Infinity - Infinity is NaN, and not over the limit.
  if (Math.abs(shiftMs) > deadlineToleranceMs) {
    sentences.push(`${name(key)} expires ${String(shiftMs)} ms off`);
  }
  return sentences;
}

async function allKeys(client: Redis): Promise<readonly Buffer[]> {
  const keys = new Map<string, Buffer>();
  let cursor = '0';
  do {
    const [next, page] = await client.scanBuffer(cursor, 'COUNT', 1000);
    for (const key of page) keys.set(key.toString('latin1'), key);
    cursor = next.toString();
  } while (cursor !== '0');
  return [...keys.values()];
}

function name(key: string): string {
  return JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}…` : key);
}

/*
 * What servers hold, as one short text: for comparing far more keys than could be read one by one.
 *
 * DEBUG DIGEST hashes each key with its type and value, and combines the keys with XOR; each server
 * that holds any adds one and the same constant for its database. So the XOR over an odd number of
 * servers is what a single one would answer that held all of it. (Of TTLs it tells only whether there
 * is one.)
 */

/** Servers have to be started with this for it. */
export const digestConfig = ['enable-debug-command local'];

export async function digestOf(clients: readonly Redis[]): Promise<string> {
  const digests = await Promise.all(
    clients.map(async (client) => String(await client.call('DEBUG', 'DIGEST'))),
  );
  if (digests.length % 2 === 0) throw new Error('the constants cancel out');
  return digests.reduce(xor);
}

function xor(one: string, other: string): string {
  return one.replace(/./g, (digit, at: number) =>
    (parseInt(digit, 16) ^ parseInt(other.charAt(at), 16)).toString(16),
  );
}
