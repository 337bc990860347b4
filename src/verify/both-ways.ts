/**
 * Both directions at the same time: each source's keys are looked for in the cluster, each master's
 * at the sources. What is suspect is looked at one by one (look.ts), which describes the difference.
 */
import { chosen, keyAt, keyStart, namesOf, slotOf } from '../redis/frames.js';
import type { Keys, Node } from '../types.js';
import { type Cluster, persist, type Server } from './servers.js';
import {
  examineAll,
  type Listed,
  type ListedSource,
  sampler,
  sweep,
  type VerifyParts,
} from './look.js';
import { askHowMany, askNumbers } from '../compare/ask-many.js';
import { askAt } from '../redis/ask.js';
import { type NodeLine, ownLine, parseNodes } from '../redis/topology.js';
import { ErrorReply, textOf } from '../redis/reply.js';
import type { Difference } from './differences.js';
import { inScope, type Scope } from './scope.js';

export async function verifyAll(parts: VerifyParts, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const ways = [
    ...parts.sources.map((_, index) => wayThere(parts, index, either)),
    ...parts.masters.map((master) => wayBack(parts, master, either)),
  ];
  // If one direction fails, stop the others; they end after what is under way.
  for (const way of ways)
    way.catch(() => {
      stop.abort();
    });
  const ended = await Promise.allSettled(ways);
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}

async function wayThere(parts: VerifyParts, index: number, signal: AbortSignal): Promise<void> {
  const { cluster, findings, share, patience, expires, toleranceMs, fast } = parts;
  const { of: source, keys, firstPass } = parts.sources[index] as ListedSource;
  const some = sampler(share);

  async function compare(page: Keys): Promise<void> {
    const wanted = some(page);
    const groups = byOwner(wanted, cluster);
    await Promise.all([...groups].map(([owner, group]) => compareAt(owner, group)));
  }

  async function compareAt(owner: number, group: Keys): Promise<void> {
    const { small, large } = await persist('to', patience, signal, async () => {
      const node = cluster.topology.nodes[owner] as Node;
      const ends = {
        source: await source.connection(),
        node: await cluster.serverOf(node).connection(),
      };
      return firstPass.suspects(ends, group, { expires, toleranceMs, typesOnly: fast });
    });
    const keysAt = (places: readonly number[]): Buffer[] =>
      places.map((place) => keyAt(group, place));
    const looks = [
      await examineAll(parts, index, keysAt(small), signal),
      await examineAll(parts, index, keysAt(large), signal, 'large'),
    ];
    const looked = looks.flatMap(({ equal, gone, apart }) => [...equal, ...gone, ...apart]).length;
    findings.addCompared(group.count - (small.length + large.length - looked));
  }

  await sweep(keys.pages(), signal, compare);
}

async function wayBack(
  { sources, cluster, toleranceMs, share, findings, patience }: VerifyParts,
  { of: node, keys }: Listed<Node>,
  signal: AbortSignal,
): Promise<void> {
  const some = sampler(share);
  const back = { sources, cluster, toleranceMs };
  await sweep(keys.pages(), signal, async (page) => {
    const wanted = some(page);
    const found = await persist('from', patience, signal, () => extras(node, wanted, back));
    for (const difference of found) findings.add(difference);
    findings.addLookedBack(wanted.count);
  });
}

function byOwner(keys: Keys, { ownerOf }: Cluster): ReadonlyMap<number, Keys> {
  const places = new Map<number, number[]>();
  const { bytes, starts } = namesOf(keys);
  for (let place = 0; place < keys.count; place++) {
    const start = keyStart(bytes, starts[place] as number);
    const owner = ownerOf(bytes, start, (starts[place + 1] as number) - 2);
    const group = places.get(owner);
    if (group) group.push(place);
    else places.set(owner, [place]);
  }
  return new Map([...places].map(([owner, group]) => [owner, chosen(keys, group)]));
}

/* The way back: keys of the cluster that no source has, and keys on nodes that don't own their slot. */

/** A source, and which keys it answers for. */
interface Answering {
  readonly of: Server;
  readonly scope: Scope;
}

interface WayBack {
  readonly sources: readonly Answering[];
  readonly cluster: Cluster;
  readonly toleranceMs: number;
}

/** Looks at keys that a node has listed. */
async function extras(node: Node, keys: Keys, back: WayBack): Promise<Difference[]> {
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
