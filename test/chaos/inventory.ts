/**
 * Reads what a server holds, as states of keys. A script reads a key's value and TTL, so that both are
 * of the same moment; clients run the same script together with a write (clients.ts).
 */
import type { Redis } from 'ioredis';
import { fieldsText, itemsText, type Kind, kindOf, membersText, type State } from './state.js';
import { groupName, streamText } from './stream.js';

const atOnce = 500;

/** Lua that leaves in `value` what the key holds. */
export const readValue: Readonly<Record<Kind, string>> = {
  counter: `local value = redis.call('GET', KEYS[1])`,
  text: `local value = redis.call('GET', KEYS[1])`,
  hash: `local value = redis.call('HGETALL', KEYS[1])`,
  list: `local value = redis.call('LRANGE', KEYS[1], 0, -1)`,
  set: `local value = redis.call('SMEMBERS', KEYS[1])`,
  stream: `
    local groups, pending = redis.call('XINFO', 'GROUPS', KEYS[1]), {}
    if #groups > 0 then pending = redis.call('XPENDING', KEYS[1], '${groupName}', '-', '+', 100000) end
    local value = {redis.call('XRANGE', KEYS[1], '-', '+'), groups, pending}`,
};

/** The text of what such a script has read. */
export function valueText(kind: Kind, read: unknown): string {
  switch (kind) {
    case 'counter':
    case 'text':
      return String(read);
    case 'hash':
      return fieldsText(pairsOf(read as string[]));
    case 'list':
      return itemsText(read as string[]);
    case 'set':
      return membersText(read as string[]);
    case 'stream': {
      const [entries, [group], pending] = read as [[string, string[]][], unknown[][], [string][]];
      return streamText({
        entries: entries.map(([id, fields]): [string, string] => [id, fields[1] ?? '']),
        group: group && {
          lastDelivered: String(group[group.indexOf('last-delivered-id') + 1]),
          pending: pending.map(([id]) => id),
        },
      });
    }
  }
}

function pairsOf(words: readonly string[]): [string, string][] {
  return words.flatMap((word, at) =>
    at % 2 === 0 ? [[word, words[at + 1] ?? ''] as [string, string]] : [],
  );
}

/** Everything that a server holds. */
export async function inventory(client: Redis): Promise<Map<string, State>> {
  const states = new Map<string, State>();
  const keys = [...new Set(await client.keys('*'))];
  for (let at = 0; at < keys.length; at += atOnce) {
    await Promise.all(
      keys.slice(at, at + atOnce).map(async (key) => {
        if (await isLeased(client, key)) return;
        const state = await stateOf(client, key);
        if (state) states.set(key, state);
      }),
    );
  }
  return states;
}

/** A run that was killed may leave temporary keys, which go away by themselves. */
async function isLeased(client: Redis, key: string): Promise<boolean> {
  return key.startsWith('cluster-import:') && (await client.pttl(key)) !== -1;
}

/** Undefined: it is not there. What is sent, is sent at once. */
export async function stateOf(client: Redis, key: string): Promise<State | undefined> {
  const kind = kindOf(key);
  const askedMs = Date.now();
  const script = `if redis.call('EXISTS', KEYS[1]) == 0 then return false end
    ${readValue[kind]}
    return {redis.call('PTTL', KEYS[1]), value}`;
  const answer = (await client.eval(script, 1, key)) as [number, unknown] | null;
  if (!answer) return undefined;
  const [ttlMs, value] = answer;
  // On a busy machine the server may have looked long before its answer is read.
  const deadline = ttlMs < 0 ? undefined : { fromMs: askedMs + ttlMs, toMs: Date.now() + ttlMs };
  return { value: valueText(kind, value), deadline };
}
