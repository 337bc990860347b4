/** What a server has counted since its start: which commands that matter in a cluster were used at all. */
export interface CommandCount {
  readonly command: string;
  readonly calls: number;
  readonly concern: Concern;
}

export type Concern =
  | 'multi-key' // may name several keys
  | 'transaction'
  | 'script'
  | 'database' // a cluster has only database 0
  | 'per-node' // answers for one node only
  | 'blocking'
  | 'pub/sub';

const concerns: Readonly<Record<Concern, string>> = {
  'multi-key':
    'mget mset msetnx rename renamenx copy sinter sinterstore sintercard sunion sunionstore sdiff sdiffstore smove ' +
    'zunion zunionstore zinter zinterstore zintercard zdiff zdiffstore zrangestore bitop pfcount pfmerge rpoplpush lmove ' +
    'lmpop zmpop del unlink exists touch xread xreadgroup geosearchstore sort lcs',
  transaction: 'multi exec watch',
  script: 'eval evalsha eval_ro evalsha_ro fcall fcall_ro',
  database: 'select move swapdb',
  'per-node': 'keys scan randomkey dbsize flushall flushdb',
  blocking: 'blpop brpop brpoplpush blmove blmpop bzpopmin bzpopmax bzmpop wait',
  'pub/sub': 'publish subscribe psubscribe ssubscribe spublish',
};

/** These may be served by several nodes' keys only if the keys share a slot. */
export const decisive: ReadonlySet<Concern> = new Set(['multi-key', 'transaction', 'script']);

const concernOf = new Map(
  Object.entries(concerns).flatMap(([concern, names]) =>
    names.split(' ').map((name) => [name, concern as Concern] as const),
  ),
);

/** @param info INFO commandstats: `cmdstat_get` → `calls=12,usec=…`. */
export function readCommandStats(info: ReadonlyMap<string, string>): readonly CommandCount[] {
  const counts: CommandCount[] = [];
  for (const [field, value] of info) {
    const command = field.replace(/^cmdstat_/, '').toLowerCase();
    const concern = concernOf.get(command);
    const calls = Number(/calls=(\d+)/.exec(value)?.[1] ?? 0);
    if (field.startsWith('cmdstat_') && concern && calls > 0) {
      counts.push({ command, calls, concern });
    }
  }
  return counts.sort((a, b) => b.calls - a.calls);
}
