/** What a server has counted since its start: which commands that matter in a cluster were used at all. */
export interface CommandCount {
  readonly command: string;
  readonly calls: number;
  readonly concern: Concern;
  /** All of them were an import's, as far as the server can tell: the application's are none. */
  readonly own?: true;
  /** How many of these the server counted while it was watched; only of a watch. */
  readonly duringWatch?: number;
  /** How many of them the watch saw, those of scripts included; only of a watch. */
  readonly watched?: number;
}

type Concern =
  | 'multi-key' // may name several keys
  | 'transaction'
  | 'script'
  | 'database' // a cluster has only database 0
  | 'per-node' // answers for one node only
  | 'refused' // a node of a cluster refuses it
  | 'blocking'
  | 'pub/sub';

const concerns: Readonly<Record<Concern, string>> = {
  'multi-key':
    'mget mset msetnx rename renamenx copy sinter sinterstore sintercard sunion sunionstore sdiff sdiffstore smove ' +
    'zunion zunionstore zinter zinterstore zintercard zdiff zdiffstore zrangestore bitop pfcount pfmerge rpoplpush lmove ' +
    'lmpop zmpop del unlink exists touch xread xreadgroup geosearchstore georadius georadiusbymember sort lcs ' +
    'stralgo msetex',
  transaction: 'multi exec watch',
  script: 'eval evalsha eval_ro evalsha_ro fcall fcall_ro',
  database: 'select move swapdb',
  'per-node': 'keys scan randomkey dbsize flushall flushdb',
  refused: 'replicaof slaveof',
  blocking: 'blpop brpop brpoplpush blmove blmpop bzpopmin bzpopmax bzmpop wait waitaof',
  'pub/sub': 'publish subscribe psubscribe ssubscribe spublish',
};

/** What may take several keys, which a cluster serves only if they share a slot. */
const decisive: ReadonlySet<Concern> = new Set(['multi-key', 'transaction', 'script', 'blocking']);

/** Whether it depends on a command's keys if a cluster runs it. WAIT and WAITAOF block, and have none. */
export function isDecisive({
  command,
  concern,
}: Pick<CommandCount, 'command' | 'concern'>): boolean {
  return decisive.has(concern) && command !== 'wait' && command !== 'waitaof';
}

/** The same by its name. */
export function mayHaveSeveralKeys(command: string): boolean {
  const concern = concernOf.get(command);
  return concern !== undefined && isDecisive({ command, concern });
}

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

/**
 * What an import, or an assessment, may ask of a source. What applications read or write most by is not among it,
 * though an import may use some of that too: where that was counted, whose it was is not known.
 */
const importsOwn: ReadonlySet<string> = new Set(
  (
    'acl auth client command config dbsize del discard dump echo evalsha exec exists function hello info memory ' +
    'mget migrate module monitor multi ping pttl psync randomkey replconf scan script select strlen time type ' +
    'unlink unwatch watch'
  ).split(' '),
);

/**
 * Whether nothing was counted but what an import does, and an import was there: its scripts tell, and so does DUMP,
 * which is no application's way to read. Applications that only read, and by nothing but such commands, can't be told from it.
 * @param info INFO commandstats.
 * @param scripts whether imports have called scripts, and whether nobody else has.
 */
export function isImportAlone(
  info: ReadonlyMap<string, string>,
  scripts: { readonly some: boolean; readonly all: boolean },
): boolean {
  const names = [...info.keys()]
    .filter((field) => field.startsWith('cmdstat_'))
    // `cmdstat_config|get`; before Redis 7.0 `cmdstat_config`.
    .map((field) => field.replace(/^cmdstat_/, '').replace(/\|.*/, ''));
  return (
    (scripts.some || names.includes('dump')) &&
    names.every((name) => importsOwn.has(name)) &&
    (scripts.all || !names.includes('evalsha'))
  );
}

/** The same counts, with those told to be imports' that can be no others': all where an import was alone there, else scripts. */
export function withOwn(
  counts: readonly CommandCount[],
  { isAlone, ownScripts }: { readonly isAlone: boolean; readonly ownScripts: boolean },
): readonly CommandCount[] {
  const isOwn = (one: CommandCount): boolean =>
    (isAlone && isDecisive(one)) ||
    (ownScripts && one.concern === 'script' && !one.command.startsWith('fcall'));
  return counts.map((one) => (isOwn(one) ? { ...one, own: true } : one));
}

/** What was counted around a watch. */
export interface Around {
  /** Before anything else was asked of the server. */
  readonly first: readonly CommandCount[];
  readonly before: readonly CommandCount[];
  readonly after: readonly CommandCount[];
  /** How often the watch saw each. */
  readonly seen: ReadonlyMap<string, number>;
}

/** All but what was counted between the first look and the watch, which was our own asking. */
export function countsAround({ first, before, after, seen }: Around): readonly CommandCount[] {
  const callsOf = (counts: readonly CommandCount[]): ReadonlyMap<string, number> =>
    new Map(counts.map(({ command, calls }) => [command, calls]));
  const [early, late] = [callsOf(first), callsOf(before)];
  const own = new Set(first.filter((one) => one.own).map(({ command }) => command));
  return after
    .map(({ command, calls, concern }): CommandCount => {
      const duringWatch = Math.max(0, calls - (late.get(command) ?? 0));
      const watched = seen.get(command) ?? 0;
      const all = (early.get(command) ?? 0) + duringWatch;
      const isOwn = own.has(command) && duringWatch === 0;
      return {
        command,
        calls: all,
        concern,
        ...(isOwn && { own: true }),
        duringWatch,
        watched,
      };
    })
    .filter(({ calls }) => calls > 0)
    .sort((a, b) => b.calls - a.calls);
}
