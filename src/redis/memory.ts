/**
 * How much memory a server has and uses, and whether it deletes keys to stay below its limit: what
 * an import asks before its start and while it lasts, and what `assess` reports.
 */
import type { Control } from './control.js';
import { slotOf } from './frames.js';
import type { ClusterTopology } from './topology.js';

export interface MemoryFacts {
  /** What counts against the limit. */
  readonly usedBytes: number;
  /** `maxmemory`; 0: there is no limit. */
  readonly limitBytes: number;
  /** `maxmemory-policy`; undefined: the server does not say. */
  readonly policy: string | undefined;
  /** Keys that it has evicted since it was started. */
  readonly evictedKeys: number;
  /** Keys with a deadline: the only ones that a `volatile-` policy evicts. */
  readonly expiringKeys: number;
}

/** @param info the fields of INFO: memory, stats and keyspace. */
export function memoryFacts(info: ReadonlyMap<string, string>): MemoryFacts {
  const bytesOf = (name: string): number => Number(info.get(name) ?? 0);
  return {
    // Buffers of replicas and of the append-only file don't count (since 5.0 INFO says how much).
    usedBytes: Math.max(0, bytesOf('used_memory') - bytesOf('mem_not_counted_for_evict')),
    limitBytes: bytesOf('maxmemory'),
    policy: info.get('maxmemory_policy'),
    evictedKeys: bytesOf('evicted_keys'),
    expiringKeys: [...info].reduce(
      (sum, [name, value]) =>
        /^db\d+$/.test(name) ? sum + Number(/expires=(\d+)/.exec(value)?.[1] ?? 0) : sum,
      0,
    ),
  };
}

/** The same of a server; versions whose INFO leaves the limit out are asked by CONFIG. */
export async function readMemory(control: Control): Promise<MemoryFacts> {
  const info = await control.info();
  const found = memoryFacts(info);
  if (info.has('maxmemory') && found.policy !== undefined) return found;
  const settingOf = async (name: string): Promise<string | undefined> => {
    const reply = await control.call('CONFIG', 'GET', name).catch(() => undefined);
    return Array.isArray(reply) && typeof reply[1] === 'string' ? reply[1] : undefined;
  };
  const limit = await settingOf('maxmemory');
  return {
    ...found,
    limitBytes: limit === undefined ? found.limitBytes : Number(limit),
    policy: found.policy ?? (await settingOf('maxmemory-policy')),
  };
}

/** Whether a server may delete keys to make room. One whose policy is not known may. */
export function mayEvict({ policy, limitBytes }: MemoryFacts): boolean {
  if (policy === undefined) return true;
  return limitBytes > 0 && policy !== 'noeviction';
}

/**
 * Whether a server may delete keys that matter: a `volatile-` policy takes only those with a deadline.
 * @param expires whether such keys will come.
 */
export function evictsKeys(memory: MemoryFacts, expires: boolean): boolean {
  if (!mayEvict(memory)) return false;
  return memory.policy?.startsWith('volatile-') !== true || expires || memory.expiringKeys > 0;
}

/** What is free below the limit; undefined: there is no limit. */
export function freeBytes({ limitBytes, usedBytes }: MemoryFacts): number | undefined {
  return limitBytes > 0 ? limitBytes - usedBytes : undefined;
}

/** What an import leaves free at a node that evicts: what is under way when it stops still gets there. */
export function reserveBytes({ limitBytes }: Pick<MemoryFacts, 'limitBytes'>): number {
  return Math.min(64 * 1024 * 1024, limitBytes / 20);
}

/**
 * What all keys of a server take, from INFO memory: what it uses, less what it needs for itself and
 * its clients as far as it says (since 4.0). Rather too much than too little.
 */
export function bytesOfKeys(info: ReadonlyMap<string, string>): number {
  const bytesOf = (name: string): number => Number(info.get(name) ?? 0);
  const others = [
    'used_memory_startup',
    'mem_clients_normal',
    'mem_clients_slaves',
    'mem_replication_backlog',
    'mem_aof_buffer',
    'used_memory_scripts',
  ];
  return Math.max(0, bytesOf('used_memory') - others.reduce((sum, name) => sum + bytesOf(name), 0));
}

/** The share of the slots that a node owns; with a sample of keys, the share of those. */
export function shareOf(
  { address }: { readonly address: string },
  { nodes, owners }: Pick<ClusterTopology, 'nodes' | 'owners'>,
  slots: readonly number[] = [...owners.keys()],
): number {
  const own = slots.filter((slot) => nodes[owners[slot] as number]?.address === address);
  return own.length / slots.length;
}

/** The owner of the slot of a key. */
export function ownerOf(key: Buffer, { nodes, owners }: Pick<ClusterTopology, 'nodes' | 'owners'>) {
  return nodes[owners[slotOf(key, 0, key.length)] as number];
}
