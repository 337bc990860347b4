/**
 * What servers hold, as one short text: for comparing far more keys than could be read one by one.
 *
 * DEBUG DIGEST hashes each key with its type and value, and combines the keys with XOR; each server
 * that holds any adds one and the same constant for its database. So the XOR over an odd number of
 * servers is what a single one would answer that held all of it. (Of TTLs it tells only whether there
 * is one.)
 */
import type { Redis } from 'ioredis';

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
