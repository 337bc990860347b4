/**
 * Both directions at the same time: each source's keys are looked for in the cluster, each master's
 * at the sources. What is suspect is looked at one by one (look.ts), which describes the difference.
 */
import { chosen, keyAt, keyStart, namesOf } from '../redis/keys.js';
import type { Keys, Node } from '../types.js';
import { type Cluster, persist } from './servers.js';
import { extras } from './extras.js';
import { examineAll, type Listed, type ListedSource, type VerifyParts } from './look.js';
import { sampler, sweep } from './sweep.js';

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
