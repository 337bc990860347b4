/**
 * Whether the nodes have room for what comes. A node with `maxmemory` refuses keys when it is full,
 * which an import reports key by key; but one with a `maxmemory-policy` that evicts takes them all,
 * and deletes others, also those that have just left the source. So that is found out before the start.
 */
import { PreflightError } from '../errors.js';
import { formatBytes } from '../format.js';
import type { ImportOptions, SelectionOptions } from '../options/options.js';
import { withControl } from '../redis/control.js';
import {
  evictsKeys,
  freeBytes,
  mayEvict,
  ownerOf,
  reserveBytes,
  shareOf,
} from '../redis/memory.js';
import type { ClusterTopology } from '../redis/topology.js';
import { nameFilter } from '../sources/glob.js';
import { filledPrefix } from './options-checks.js';
import type { MasterFacts } from './master-facts.js';
import { isServer, mayExpire, type SourceFacts } from './source-facts.js';

/** What a key of a cluster's node takes more than one of a server that stands alone. */
const bytesPerKeyInCluster = 16;
/** How many keys are looked at where not all of the source's keys will be stored. */
const sampledKeys = 256;

interface Target {
  readonly masters: readonly MasterFacts[];
  readonly topology: ClusterTopology;
}

interface Need {
  readonly master: MasterFacts;
  readonly neededBytes: number;
  readonly freeBytes: number;
}

/**
 * @param warn tells of nodes that have too little room, and are left to it.
 * @throws PreflightError when a node without room evicts.
 */
export async function checkRoom(
  sources: readonly SourceFacts[],
  target: Target,
  options: SelectionOptions &
    Pick<ImportOptions, 'onlyKeys' | 'allowEviction' | 'dryRun' | 'timeoutMs'>,
  warn: (sentence: string) => void,
): Promise<void> {
  const expires = sources.some(mayExpire);
  const short = shortages(sources, target, () => 1);
  if (short.length === 0) return;
  if (options.allowEviction) return;
  const evicting = short.filter(({ master }) => evictsKeys(master.memory, expires));
  const [full] = short;
  if (evicting.length === 0) {
    if (full) warn(`${words(full, short)}: what it refuses stays at the source.`);
    return;
  }
  // That was all that the sources have. What is selected of it, and not yet there, may be less.
  const shares = new Map<SourceFacts, number | undefined>();
  for (const source of sources) shares.set(source, await newShare(source, target, options));
  const certain = shortages(sources, target, (source) => shares.get(source) ?? 0);
  const refusing = certain.find(({ master }) => evictsKeys(master.memory, expires));
  const likely = evicting[0] as Need;
  if (options.dryRun || !refusing) {
    warn(
      `${words(refusing ?? likely, refusing ? certain : evicting)}, and would evict keys: a run stops before that.`,
    );
    return;
  }
  throw new PreflightError(
    `${words(refusing, certain)}, and would evict keys (maxmemory-policy ${refusing.master.memory.policy ?? 'unknown'}), also those that have just left the source: raise maxmemory, set maxmemory-policy noeviction, or pass --allow-eviction if these keys may be lost.`,
  );
}

/** Nodes that have too little room for their part of these shares of the sources. */
function shortages(
  sources: readonly SourceFacts[],
  { masters, topology }: Target,
  share: (source: SourceFacts) => number,
): readonly Need[] {
  const allBytes = sources.reduce((sum, source) => {
    const { bytes = 0, keys } = source;
    return sum + share(source) * (bytes + keys * bytesPerKeyInCluster);
  }, 0);
  if (allBytes === 0) return [];
  return masters.flatMap((master) => {
    const free = freeBytes(master.memory);
    const neededBytes = allBytes * shareOf(master.node, topology);
    // What a run keeps free of a node that evicts has to be free at its end as well, and estimates err.
    const spare = mayEvict(master.memory) ? 2 * reserveBytes(master.memory) : 0;
    return free === undefined || neededBytes <= free - spare
      ? []
      : [{ master, neededBytes, freeBytes: Math.max(0, free) }];
  });
}

function words({ master, neededBytes, freeBytes: free }: Need, all: readonly Need[]): string {
  const others = all.length - 1;
  const more =
    others === 0
      ? ''
      : `, as ${others === 1 ? 'has 1 other node' : `have ${String(others)} other nodes`}`;
  return `${master.node.address} has too little room: about ${formatBytes(neededBytes)} will come, and ${formatBytes(free)} of its maxmemory of ${formatBytes(master.memory.limitBytes)} are free${more}`;
}

/**
 * The share of a source's keys that will take room: those that are selected, and that the cluster
 * does not have yet, from a sample. Undefined: nobody can tell.
 */
async function newShare(
  source: SourceFacts,
  { masters, topology }: Target,
  options: SelectionOptions & Pick<ImportOptions, 'onlyKeys' | 'timeoutMs'>,
): Promise<number | undefined> {
  const { match, exclude, type, minTtlMs } = options;
  const isSelective = match.length + exclude.length + type.length > 0 || minTtlMs > 0;
  const mayBeThere = masters.some(({ keys }) => keys > 0);
  if (options.onlyKeys !== undefined) return undefined;
  if (!isSelective && !mayBeThere) return 1;
  if (!isServer(source)) return undefined;
  const { control } = source;
  const isNameWanted = nameFilter(options);
  const asked = Array.from({ length: sampledKeys }, () => control.callBinary('RANDOMKEY'));
  const names = await Promise.all(asked).catch(() => []);
  const keys = names.flatMap((name) => (Buffer.isBuffer(name) ? [name] : []));
  if (keys.length === 0) return isSelective ? undefined : 1;
  const wanted = await Promise.all(
    keys.map(async (key) => {
      if (!isNameWanted(key)) return false;
      if (type.length > 0 && !type.includes(String(await control.call('TYPE', key)))) return false;
      if (minTtlMs === 0) return true;
      const ttlMs = Number(await control.call('PTTL', key));
      return ttlMs < 0 || ttlMs >= minTtlMs;
    }),
  );
  const prefix = filledPrefix(options.keyPrefix ?? '', source.endpoint.db, control.address);
  const selected = keys.filter((_, at) => wanted[at]).map((key) => Buffer.concat([prefix, key]));
  const there = mayBeThere ? await countThere(selected, topology, options.timeoutMs) : 0;
  return (selected.length - there) / keys.length;
}

async function countThere(
  keys: readonly Buffer[],
  topology: ClusterTopology,
  timeoutMs: number,
): Promise<number> {
  let count = 0;
  for (const node of topology.masters) {
    const own = keys.filter((key) => ownerOf(key, topology)?.address === node.address);
    if (own.length === 0) continue;
    await withControl(topology.endpointOf(node), { side: 'to', timeoutMs }, async (control) => {
      const found = await Promise.all(own.map((key) => control.call('EXISTS', key).catch(() => 0)));
      count += found.filter((one) => one === 1).length;
    });
  }
  return count;
}
