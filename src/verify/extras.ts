/** The way back: keys of the cluster that no source has, and keys on nodes that don't own their slot. */
import { askHowMany, askNumbers } from '../compare/ask-many.js';
import { askAt } from '../redis/ask.js';
import { keyAt, keyStart } from '../redis/keys.js';
import { type NodeLine, ownLine, parseNodes } from '../redis/nodes.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import { slotOf } from '../redis/slot.js';
import type { Keys, Node } from '../types.js';
import type { Cluster, Server } from './servers.js';
import type { Difference } from './differences.js';
import { inScope, type Scope } from './scope.js';

/** A source, and which keys it answers for. */
interface Answering {
  readonly of: Server;
  readonly scope: Scope;
}

export interface WayBack {
  readonly sources: readonly Answering[];
  readonly cluster: Cluster;
  readonly toleranceMs: number;
}

/** Looks at keys that a node has listed. */
export async function extras(node: Node, keys: Keys, back: WayBack): Promise<Difference[]> {
  const strays = await misplaced(node, keys, back.cluster);
  let left: readonly number[] = Array.from({ length: keys.count }, (_, place) => place);
  /** Those that some source answers for. */
  const ours = new Set<number>();
  for (const { of, scope } of back.sources) {
    if (left.length === 0) break;
    const own = inScope(scope, keys, left);
    const missing = await absentAt(of, own.keys);
    // As a rule nothing is missing, and nothing has to be put down.
    if (missing.length === 0 && own.places.length === left.length) return strays;
    const absent = new Set(missing.map((at) => own.places[at]));
    const present = new Set(own.places.filter((place) => !absent.has(place)));
    for (const place of own.places) ours.add(place);
    left = left.filter((place) => !present.has(place));
  }
  const found: Difference[] = [];
  for (const place of left) {
    if (!ours.has(place)) continue;
    const key = keyAt(keys, place);
    if (await isExtra(key, back)) {
      found.push({
        key,
        kind: 'extra',
        message: `in the cluster, ${nowhere(back.sources.length)}`,
      });
    }
  }
  return [...strays, ...found];
}

function nowhere(sources: number): string {
  return sources === 1 ? 'not at the source' : 'at none of the sources';
}

/** The places of those that the source does not have. */
async function absentAt(source: Server, keys: Keys): Promise<readonly number[]> {
  if (keys.count === 0) return [];
  const connection = await source.connection();
  if ((await askHowMany(connection, keys)) === keys.count) return [];
  const there = await askNumbers(connection, 'EXISTS', keys);
  const places: number[] = [];
  for (let place = 0; place < keys.count; place++) if (there[place] !== 1) places.push(place);
  return places;
}

/** Asked once more: it may have been deleted meanwhile, or be about to expire. */
async function isExtra(name: Buffer, { sources, cluster, toleranceMs }: WayBack): Promise<boolean> {
  const ttlMs = Number(textOf(await cluster.ask(name, ['PTTL', name])));
  if (ttlMs === -2 || (ttlMs >= 0 && ttlMs <= toleranceMs)) return false;
  const type = textOf(await cluster.ask(name, ['TYPE', name]));
  let isOurs = false;
  for (const { of, scope } of sources) {
    const key = scope.keyOf(name);
    if (!key) continue;
    const answer = await askAt(await of.connection(), ['EXISTS', key]);
    // Another master of the source's own cluster would have it.
    const isElsewhere = answer instanceof ErrorReply && answer.code === 'MOVED';
    if (answer !== 0 && !isElsewhere) return false;
    isOurs ||= scope.types.length === 0 || scope.types.includes(type);
  }
  return isOurs;
}

async function misplaced(node: Node, keys: Keys, cluster: Cluster): Promise<Difference[]> {
  if (strays(node, keys, cluster).length === 0) return [];
  // Slots may have moved since they were last asked for.
  await cluster.topology.refresh();
  const found: Difference[] = [];
  const moving = new Map<number, boolean>();
  for (const key of strays(node, keys, cluster)) {
    const slot = slotOf(key, 0, key.length);
    const owner = cluster.topology.nodes[cluster.ownerOf(key, 0, key.length)] as Node;
    const isMoving = moving.get(slot) ?? (await isGiven(slot, owner, node, cluster));
    moving.set(slot, isMoving);
    if (isMoving) continue;
    const message = `on ${node.address}, but its slot is ${owner.address}'s`;
    found.push({ key, kind: 'misplaced', message });
  }
  return found;
}

/** Whether a slot is being resharded: its owner gives it to this node, and clients are sent there. */
async function isGiven(slot: number, owner: Node, to: Node, cluster: Cluster): Promise<boolean> {
  const [giver, taker] = await Promise.all([ownLineOf(owner, cluster), ownLineOf(to, cluster)]);
  return taker !== undefined && giver?.migrating.get(slot) === taker.id;
}

async function ownLineOf(node: Node, cluster: Cluster): Promise<NodeLine | undefined> {
  const reply = await askAt(await cluster.serverOf(node).connection(), ['CLUSTER', 'NODES']);
  return ownLine(parseNodes(textOf(reply), node.host));
}

function strays(node: Node, keys: Keys, { topology, ownerOf }: Cluster): Buffer[] {
  const found: Buffer[] = [];
  const { bytes, starts } = keys;
  const own = topology.nodes.findIndex(({ address }) => address === node.address);
  for (let place = 0; place < keys.count; place++) {
    const start = keyStart(bytes, starts[place] as number);
    const owner = ownerOf(bytes, start, (starts[place + 1] as number) - 2);
    if (owner !== own) found.push(keyAt(keys, place));
  }
  return found;
}
