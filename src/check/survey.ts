/**
 * What every node of a cluster says, of itself and of the others; asked of each, since they may not
 * agree. Keys on a node that does not own their slot come from data files that were put under it:
 * clients don't find them there, since the node redirects every request.
 */
import { ConnectionError, ImportError, RefusedError, TargetError } from '../errors.js';
import { connect } from '../redis/connection.js';
import { type Control, openControl, withControl } from '../redis/control.js';
import { addressOf, type Endpoint, type NatRule, type Place, reach } from '../redis/endpoint.js';
import { command, slotCount } from '../redis/frames.js';
import { type NodeLine, ownLine, parseNodes } from '../redis/topology.js';
import { NumbersReader } from '../redis/ask.js';

export interface SurveyedNode {
  readonly id: string;
  /** `host:port`, as the cluster announces it. */
  readonly address: string;
  /** How to reach it, and log in. */
  readonly endpoint: Endpoint;
  /** What it says; undefined: it could not be asked. */
  readonly view: readonly NodeLine[] | undefined;
  /** Its own line of that. */
  readonly own: NodeLine | undefined;
  /** Why it could not be asked. */
  readonly trouble: string | undefined;
  readonly state: string;
  /** A replica's link to its master; undefined: it is a master. */
  readonly masterLink: string | undefined;
  /** How far it has come in the stream of changes, in bytes: what it has sent, or as a replica received. */
  readonly streamOffset: number | undefined;
  /** `Redis 7.0.15`; undefined: it could not be asked. */
  readonly product: string | undefined;
  readonly keys: number | undefined;
  readonly memory: MemoryUse | undefined;
  /** Keys in slots that are others' by its own account. */
  readonly strays: readonly StrayCount[];
}

interface MemoryUse {
  readonly usedBytes: number;
  /** `maxmemory`; null: there is none. */
  readonly limitBytes: number | null;
}

export interface Survey {
  /** `host:port` of the seed. */
  readonly seed: string;
  /** As the seed knows them, itself first. */
  readonly lines: readonly NodeLine[];
  readonly nodes: readonly SurveyedNode[];
}

export interface SurveyOptions {
  readonly timeoutMs: number;
  readonly nat: readonly NatRule[];
}

/** @throws TargetError when the seed is not a node of a cluster. */
export async function survey(to: Endpoint, options: SurveyOptions): Promise<Survey> {
  return withControl(to, { side: 'to', timeoutMs: options.timeoutMs }, async (seed) => {
    const lines = await readLines(seed);
    const known = lines.filter(({ flags }) => !flags.has('handshake') && !flags.has('noaddr'));
    const nodes = await Promise.all(known.map((line) => ask(line, to, options)));
    return { seed: seed.address, lines, nodes };
  });
}

async function readLines(control: Control): Promise<readonly NodeLine[]> {
  try {
    const text = await control.call('CLUSTER', 'NODES');
    return parseNodes(String(text), control.endpoint.host);
  } catch (error) {
    if (!(error instanceof RefusedError) || !/cluster support|unknown command/.test(error.reply)) {
      throw error;
    }
    throw new TargetError(
      `${control.address} is not a node of a cluster: give --to any node of the cluster.`,
      { cause: error },
    );
  }
}

async function ask(
  { id, place, flags }: NodeLine,
  to: Endpoint,
  { timeoutMs, nat }: SurveyOptions,
): Promise<SurveyedNode> {
  // The seed may not know its own address; it was reached by the one that was given.
  const reached: Place = flags.has('myself') ? to : reach(place, nat);
  const endpoint: Endpoint = { ...to, host: reached.host, port: reached.port, db: 0 };
  const node = { id, address: addressOf(place), endpoint };
  let control: Control | undefined;
  try {
    control = await openControl(endpoint, { side: 'to', timeoutMs });
    const view = await readLines(control);
    const own = ownLine(view);
    const info = await control.info('replication');
    const memory = await control.info('memory');
    const limitBytes = Number(memory.get('maxmemory') ?? 0);
    const state = /cluster_state:(\w+)/.exec(String(await control.call('CLUSTER', 'INFO')));
    const isMaster = own !== undefined && own.masterId === undefined;
    return {
      ...node,
      view,
      own,
      trouble: undefined,
      state: state?.[1] ?? 'unknown',
      masterLink: info.get('master_link_status'),
      streamOffset: Number(info.get('slave_repl_offset') ?? info.get('master_repl_offset') ?? 0),
      product: productOf(await control.info('server')),
      keys: Number(await control.call('DBSIZE')),
      memory: {
        usedBytes: Number(memory.get('used_memory') ?? 0),
        limitBytes: limitBytes > 0 ? limitBytes : null,
      },
      strays: isMaster ? await countStrays(endpoint, own, timeoutMs) : [],
    };
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    const hint =
      error instanceof ConnectionError && endpoint.host === place.host
        ? ` If it is reached elsewhere from here, pass --nat ${node.address}=host:port.`
        : '';
    return {
      ...node,
      view: undefined,
      own: undefined,
      // Only the seed is what --to named.
      trouble: `${flags.has('myself') ? error.message : error.message.replace(', or correct --to', '')}${hint}`,
      state: 'unknown',
      masterLink: undefined,
      streamOffset: undefined,
      product: undefined,
      keys: undefined,
      memory: undefined,
      strays: [],
    };
  } finally {
    control?.close();
  }
}

/** `Valkey 9.1.2` */
function productOf(info: ReadonlyMap<string, string>): string {
  const valkey = info.get('valkey_version');
  return valkey === undefined ? `Redis ${info.get('redis_version') ?? ''}` : `Valkey ${valkey}`;
}

interface StrayCount {
  readonly slot: number;
  readonly keys: number;
}

/** @param own the node's own line, which has the slots that are its. */
async function countStrays(
  endpoint: Endpoint,
  own: NodeLine,
  timeoutMs: number,
): Promise<readonly StrayCount[]> {
  const others = foreignSlots(own);
  if (others.length === 0) return [];
  const connection = await connect(endpoint, { timeoutMs });
  try {
    const counts = await new Promise<Float64Array>((resolve, reject) => {
      for (const slot of others) {
        connection.out.append(command('CLUSTER', 'COUNTKEYSINSLOT', slot));
      }
      connection.expect(new NumbersReader(others.length, resolve, reject));
    });
    return others.flatMap((slot, at) => {
      const keys = counts[at] as number;
      return keys > 0 ? [{ slot, keys }] : [];
    });
  } finally {
    connection.close();
  }
}

function foreignSlots({ slots }: NodeLine): readonly number[] {
  const isOwn = new Uint8Array(slotCount);
  for (const [first, last] of slots) isOwn.fill(1, first, last + 1);
  return Array.from({ length: slotCount }, (_, slot) => slot).filter((slot) => isOwn[slot] === 0);
}

/* Which node owns which slot: by one node's account, and by each master's own; and slots that were left open. */

/** For each slot the ids of those that claim it. */
export type Claims = readonly (readonly string[])[];

export function claimsOf(lines: readonly Pick<NodeLine, 'id' | 'slots'>[]): Claims {
  const claims: string[][] = Array.from({ length: slotCount }, () => []);
  for (const { id, slots } of lines) {
    for (const [first, last] of slots) {
      for (let slot = first; slot <= last; slot++) claims[slot]?.push(id);
    }
  }
  return claims;
}

/** The slots for which something holds, as text: `0-99, 500`. */
export function slotsWhere(isWanted: (slot: number) => boolean): { count: number; text: string } {
  const ranges: [number, number][] = [];
  let count = 0;
  for (let slot = 0; slot < slotCount; slot++) {
    if (!isWanted(slot)) continue;
    count++;
    const last = ranges.at(-1);
    if (last?.[1] === slot - 1) last[1] = slot;
    else ranges.push([slot, slot]);
  }
  const shown = ranges.slice(0, 10).map(([first, last]) => spanOf(first, last));
  return { count, text: [...shown, ...(ranges.length > 10 ? ['…'] : [])].join(', ') };
}

function spanOf(first: number, last: number): string {
  return first === last ? String(first) : `${String(first)}-${String(last)}`;
}

/** Two views that agree on the owners of all slots have the same text. */
export function layoutText(lines: readonly NodeLine[]): string {
  return lines
    .filter(({ slots }) => slots.length > 0)
    .map(({ id, slots }) => `${id} ${slots.map(([first, last]) => spanOf(first, last)).join(' ')}`)
    .sort()
    .join('\n');
}

/** Slots that a node has open to take them, while their owner does not give them to it. */
export function openWithoutGiver(
  { id, own }: Pick<SurveyedNode, 'id' | 'own'>,
  { lines, nodes }: Pick<Survey, 'lines' | 'nodes'>,
): readonly number[] {
  if (!own || own.importing.size === 0) return [];
  const claims = claimsOf(lines);
  return [...own.importing.keys()].filter((slot) => {
    const owner = nodes.find((node) => node.id === claims[slot]?.[0]);
    return owner?.own !== undefined && owner.id !== id && owner.own.migrating.get(slot) !== id;
  });
}
