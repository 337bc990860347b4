/** What a sick node holds up: its own keys, until nothing of theirs is under way. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HeldUpKeys } from '../../../src/engine/node-health.js';
import type { Batch, Node } from '../../../src/types.js';
import { batchOf, namesOf, nodes, topologyWith } from '../../support/batches.js';
import { keysOf, slotOf } from '../../support/keys.js';

const [well, away] = nodes as [Node, Node];
const border = 8192;
/** Of the first node, and of the second one. */
const [low, lower, high, higher] = ['b', 'c', 'a', 'd'] as const;

let suspended = new Set<string>();
let silentMs = 0;
let topology = topologyWith(border);
let heldUp: HeldUpKeys;

const clock = performance.now.bind(performance);
let aheadMs = 0;

afterEach(() => {
  vi.restoreAllMocks();
});

beforeEach(() => {
  aheadMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => clock() + aheadMs);
  suspended = new Set();
  silentMs = 0;
  topology = topologyWith(border);
  heldUp = new HeldUpKeys({
    topology,
    health: { isSuspended: (address) => suspended.has(address) },
    states: { silentMs: (address) => (address === away.address ? silentMs : 0) },
  });
});

/** A batch that is under way until it is told to end. */
function begin(node: Node, names: readonly string[], changes: Partial<Batch> = {}) {
  const batch = batchOf(keysOf(...names), { node, ...changes });
  let end = (): void => undefined;
  let goRound = (): void => undefined;
  const life = new Promise<void>((resolve) => (end = resolve));
  const work = new Promise<void>((resolve) => (goRound = resolve));
  heldUp.began(batch, work, life);
  return {
    batch,
    async goRound() {
      goRound();
      await new Promise(setImmediate);
    },
    async end() {
      goRound();
      end();
      await new Promise(setImmediate);
    },
  };
}

const isHeld = (name: string): boolean => heldUp.has(slotOf(name));

/** Which keys a lull sets aside. */
async function setAside(): Promise<string[]> {
  return (await heldUp.lull()).flatMap(namesOf);
}

describe('a lull', () => {
  it('begins once everything has ended, while no node is sick', async () => {
    const [one, other] = [begin(well, [low]), begin(away, [high])];
    let isOver = false;
    const lull = setAside().finally(() => (isOver = true));
    aheadMs += 60_000;
    await one.end();
    expect(isOver).toBe(false);
    await other.end();
    expect(await lull).toEqual([]);
    expect(heldUp.any).toBe(false);
  });

  it('sets aside what a node holds up that is away, each batch once', async () => {
    begin(away, [high, higher]);
    const other = begin(well, [low]);
    suspended.add(away.address);
    await other.end();
    expect(await setAside()).toEqual([high, higher]);
    expect(await setAside()).toEqual([]);
    expect([low, lower, high].map(isHeld)).toEqual([false, false, true]);
    expect(heldUp.any).toBe(true);
  });

  it('sets aside what a node holds up that owes an answer for long', async () => {
    begin(away, [high]);
    const lull = setAside();
    silentMs = 60_000;
    aheadMs += 1000;
    expect(await lull).toEqual([high]);
  });

  it('sets aside also what goes round again then, and waits for what another node does first', async () => {
    begin(away, [high]);
    suspended.add(away.address);
    const slow = begin(well, [low]);
    const round = begin(well, [lower]);
    let isOver = false;
    const lull = setAside().finally(() => (isOver = true));
    aheadMs += 60_000;
    await round.goRound();
    expect(isOver).toBe(false);
    await slow.end();
    expect(await lull).toEqual([high, lower]);
    expect([low, lower].map(isHeld)).toEqual([false, true]);
    await round.end();
    expect(await setAside()).toEqual([]);
    expect([low, lower].map(isHeld)).toEqual([false, false]);
  });

  it('does not wait for later tries of what is set aside', async () => {
    const first = begin(away, [high]);
    suspended.add(away.address);
    await setAside();
    begin(well, [high], { attempt: 1 });
    heldUp.wentOn(first.batch);
    expect(await setAside()).toEqual([]);
    expect(isHeld(high)).toBe(true);
  });
});

describe('a key that is held up', () => {
  it('is so until the last try has ended, wherever its slot has moved', async () => {
    const first = begin(away, [high]);
    suspended.add(away.address);
    await setAside();
    topology.owners.fill(0);
    await setAside();
    // Others of the node are the other one's now.
    expect([high, higher].map(isHeld)).toEqual([true, false]);
    begin(well, [high], { attempt: 1 });
    heldUp.wentOn(first.batch);
    await setAside();
    expect(isHeld(high)).toBe(true);
    await first.end();
    // Only a lull tells.
    expect(isHeld(high)).toBe(true);
    await setAside();
    expect(isHeld(high)).toBe(false);
  });

  it('is any of a sick node, until the node is well', async () => {
    const one = begin(away, [high]);
    suspended.add(away.address);
    await setAside();
    expect([high, higher].map(isHeld)).toEqual([true, true]);
    suspended.delete(away.address);
    expect([high, higher].map(isHeld)).toEqual([true, false]);
    await one.end();
    await setAside();
    expect(isHeld(high)).toBe(false);
  });

  it('is none of a node at which nothing is tried: how it is nobody knows', () => {
    suspended.add(away.address);
    expect(isHeld(high)).toBe(false);
  });
});

describe('a node', () => {
  it('is not sick because it was silent before anything was tried', () => {
    silentMs = 60_000;
    begin(away, [high]);
    expect(heldUp.isSick(away.address)).toBe(false);
  });

  it('is given twice the time where it was only slow', async () => {
    silentMs = 60_000;
    const slow = begin(away, [high]);
    aheadMs += 1000;
    expect(await setAside()).toEqual([high]);
    await slow.end();
    begin(away, [high]);
    aheadMs += 1500;
    expect(heldUp.isSick(away.address)).toBe(false);
    aheadMs += 500;
    expect(heldUp.isSick(away.address)).toBe(true);
  });

  it('is given no more time where it has not answered', async () => {
    silentMs = 60_000;
    const lost = begin(away, [high]);
    aheadMs += 1000;
    expect(await setAside()).toEqual([high]);
    heldUp.wentOn(lost.batch);
    await lost.end();
    begin(away, [high]);
    aheadMs += 1000;
    expect(heldUp.isSick(away.address)).toBe(true);
  });

  it('lets go who waits for room there when it gets sick', async () => {
    begin(away, [high]);
    const room = heldUp.room(away.address, () => false);
    suspended.add(away.address);
    expect(await room).toBe(false);
    expect(await heldUp.room(well.address, () => true)).toBe(true);
  });
});
