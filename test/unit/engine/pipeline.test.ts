/** The pipeline over movers and sources that do as they are told. */
import { describe, expect, it } from 'vitest';
import { Pipeline, type PipelineOptions } from '../../../src/engine/pipeline.js';
import { listingRecord } from '../../../src/engine/seen-keys.js';
import { createServerStates } from '../../../src/engine/server-states.js';
import { createTally, type EngineTally } from '../../../src/engine/tally.js';
import { noKeys } from '../../../src/redis/frames.js';
import type { Batch, Keys, Outcome, Page, Redirect, Retry, Source } from '../../../src/types.js';
import { keysOf } from '../../support/keys.js';
import { namesOf, outcome, sourceOf, topologyWith } from '../../support/batches.js';

const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore };
function ignore(): void {
  // Nobody listens.
}

const wideLimits: PipelineOptions['limits'] = {
  batch: () => 2,
  perNode: () => 100,
  overall: () => Infinity,
  turn: () => Promise.resolve(),
  weigh: ignore,
};
const patience = { batchBytes: 1e6, retryForMs: 1000 };

interface Run {
  /** The pages of each pass; the last one stands for all behind it. */
  readonly passes: readonly (readonly Keys[])[];
  move(batch: Batch): Outcome;
  readonly remaining?: Source['remaining'];
  readonly throttle?: Pick<PipelineOptions['limits'], 'turn' | 'weigh'>;
  readonly signal?: AbortSignal;
  readonly copyWhenListed?: PipelineOptions['copyWhenListed'];
  /** What counts, for a run that does not end well. */
  readonly heard?: (tally: EngineTally) => void;
}

interface Move extends Pick<Batch, 'listedBefore' | 'attempt'> {
  readonly names: string[];
  /** Where to, and `asking` if behind ASKING. */
  readonly to: string;
}

/** @returns what every batch looked like when it was moved, in order. */
async function run({
  passes,
  remaining,
  throttle,
  signal,
  copyWhenListed,
  heard,
  ...mover
}: Run): Promise<{
  moves: Move[];
  passCount: number;
  tally: EngineTally;
}> {
  const moves: Move[] = [];
  let passCount = 0;
  const source = {
    ...sourceOf(10),
    remaining,
    async *pages() {
      const pages = passes[Math.min(passCount++, passes.length - 1)] ?? [];
      for (const page of pages) yield await Promise.resolve(page);
    },
  };
  const tally = createTally(source, 'move');
  heard?.(tally);
  await new Pipeline({
    ...{
      source,
      tally,
      topology: topologyWith(16_384),
      record: listingRecord(10),
      logger: quiet,
      states: createServerStates(quiet, ignore),
    },
    mover: {
      name: 'relay',
      async move(batch) {
        const { keys, listedBefore, attempt, node, asking } = batch;
        const to = `${asking ? 'asking ' : ''}${node.address}`;
        moves.push({ names: namesOf(keys), listedBefore, attempt, to });
        await new Promise((resolve) => setImmediate(resolve));
        return mover.move(batch);
      },
    },
    signal: signal ?? new AbortController().signal,
    limits: { ...wideLimits, ...throttle },
    ...patience,
    copyWhenListed: copyWhenListed ?? (() => ({ state: 'unknown' })),
  }).run();
  return { moves, passCount, tally };
}

const moved = ({ keys }: Batch): Outcome => outcome({ moved: keys.count });

describe('a key that is listed twice', () => {
  it('waits until its first listing has gone round for the last time', async () => {
    const twice = keysOf('a', 'b');
    const { moves } = await run({
      passes: [[twice, twice, twice]],
      move: (batch) => {
        const { keys, listedBefore, attempt } = batch;
        if (listedBefore) return outcome({ repeated: keys.count });
        if (attempt >= 3) return moved(batch);
        return outcome({
          retries: [{ keys, class: 'changing', message: '', copy: { state: 'stored' } }],
        });
      },
    });
    expect(moves).toMatchObject([
      ...[0, 1, 2, 3].map((attempt) => ({ names: ['a', 'b'], listedBefore: false, attempt })),
      ...[0, 0].map((attempt) => ({ names: ['a', 'b'], listedBefore: true, attempt })),
    ]);
  });

  it('waits for a first listing that has not filled a batch yet', async () => {
    const { moves } = await run({
      passes: [[keysOf('a', 'b', 'c'), keysOf('c', 'a', 'c', 'b', 'a')]],
      move: (batch) =>
        batch.listedBefore ? outcome({ repeated: batch.keys.count }) : moved(batch),
    });
    const first = moves.findIndex(({ listedBefore }) => listedBefore);
    expect(moves.slice(0, first).flatMap(({ names }) => names)).toEqual(['a', 'b', 'c']);
  });

  it('is not tried or counted again where its first listing has said that it stays', async () => {
    const failing = { class: 'conflict', message: '' } as const;
    const { moves, tally } = await run({
      passes: [[keysOf('a', 'b', 'c'), keysOf('a', 'c', 'b', 'a')]],
      move(batch) {
        const { keys, listedBefore } = batch;
        if (listedBefore) return outcome({ repeated: keys.count });
        const failures = namesOf(keys)
          .filter((name) => name !== 'b')
          .map((name) => ({ key: Buffer.from(name), ...failing }));
        const conflicting = failures.length;
        return outcome({ moved: keys.count - conflicting, conflicting, failures });
      },
    });
    const again = moves.filter(({ listedBefore }) => listedBefore);
    expect(again.flatMap(({ names }) => names)).toEqual(['b']);
    expect(tally.snapshot()).toMatchObject({ scanned: 3, moved: 1, conflicting: 2 });
  });
});

const redirected = ({ keys }: Batch, redirect: Redirect): Retry => ({
  keys,
  class: 'redirected',
  message: '',
  redirect,
});

describe('a slot that is on its way (ASK)', () => {
  it.each([
    ['node:7009', 'asking node:7009'],
    [':7009', 'asking node:7009'],
    ['?:7009', 'asking node:7009'],
  ])('is followed to %s, which owned no slot when it was last heard of', async (address, to) => {
    const { moves } = await run({
      passes: [[keysOf('a', 'b')]],
      move: (batch) =>
        batch.asking
          ? moved(batch)
          : outcome({ retries: [redirected(batch, { kind: 'ask', address })] }),
    });
    expect(moves.map((move) => move.to)).toEqual(['node:7001', to]);
  });
});

describe('a slot that another node owns (MOVED)', () => {
  it('is followed there where the cluster goes on naming the one that denies it', async () => {
    const { moves } = await run({
      passes: [[keysOf('a', 'b')]],
      move: (batch) =>
        batch.node.address === 'node:7009'
          ? moved(batch)
          : outcome({ retries: [redirected(batch, { kind: 'moved', address: ':7009' })] }),
    });
    expect(moves.map((move) => move.to)).toEqual(['node:7001', 'node:7009']);
  });
});

describe('passes', () => {
  const conflict = ({ keys }: Batch): Outcome => ({
    ...outcome({ conflicting: keys.count }),
    failures: namesOf(keys).map((name) => ({
      ...{ key: Buffer.from(name), class: 'conflict', message: '' },
    })),
  });

  it('end when one lists none but keys that stay, however many are left', async () => {
    // Two keys stay; then clients delete them, and add two behind the cursor.
    const { passCount, tally } = await run({
      passes: [[keysOf('a', 'b', 'c')], [keysOf('d', 'e')], [keysOf('a', 'b')]],
      move: (batch) => (namesOf(batch.keys)[0] === 'a' ? conflict(batch) : moved(batch)),
      remaining: () => Promise.resolve(2),
    });
    expect(passCount).toBe(3);
    expect(tally.snapshot()).toMatchObject({ scanned: 5, moved: 3, conflicting: 2 });
  });

  it('end with the first when nothing stays and nothing is left', async () => {
    const left = { passes: [[keysOf('a')]], move: moved, remaining: () => Promise.resolve(0) };
    expect((await run(left)).passCount).toBe(1);
  });

  it('end when keys come and go, and none is ever moved', async () => {
    const { passCount } = await run({
      passes: [[keysOf('a')]],
      move: ({ keys }) => outcome({ gone: keys.count }),
      remaining: () => Promise.resolve(1),
    });
    expect(passCount).toBe(3);
  });
});

describe('keys that may be on both sides are counted', () => {
  const unavailable = { class: 'unavailable', message: 'it did not answer' } as const;

  it('where the run stops before their copies were settled', async () => {
    const stop = new AbortController();
    const states = ['may-be-stored', 'stored', 'unknown'] as const;
    const { tally } = await run({
      passes: [[keysOf('a', 'b', 'c', 'd', 'e', 'f')]],
      signal: stop.signal,
      move: ({ keys }) => {
        stop.abort();
        const place = ['a', 'c', 'e'].indexOf(namesOf(keys)[0] ?? '');
        const copy = { state: states[place] ?? 'unknown' };
        return outcome({ retries: [{ ...unavailable, keys, copy }] });
      },
    });
    const { onBothSides, failed, scanned } = tally.snapshot();
    expect({ onBothSides, failed, scanned }).toEqual({ onBothSides: 4, failed: 0, scanned: 0 });
  });

  it('where they are given up after they were stored', async () => {
    const { tally } = await run({
      passes: [[keysOf('a', 'b')]],
      move: ({ keys }) =>
        outcome({ retries: [{ class: 'oom', message: '', keys, copy: { state: 'stored' } }] }),
    });
    expect(tally.snapshot()).toMatchObject({ onBothSides: 2, failed: 2 });
  });

  it('where their node was given up before they came to it', async () => {
    const { moves, tally } = await run({
      // The second pass begins when nothing of the first is left to be tried.
      passes: [[keysOf('a', 'b')], [keysOf('c', 'd')]],
      remaining: () => Promise.resolve(2),
      copyWhenListed: () => ({ state: 'may-be-stored' }),
      move: ({ keys }) => outcome({ retries: [{ class: 'oom', message: '', keys }] }),
    });
    expect(moves.flatMap(({ names }) => names)).not.toContain('c');
    expect(tally.snapshot()).toMatchObject({ onBothSides: 4, failed: 4 });
  });

  it('where the source is lost', async () => {
    let tally: EngineTally | undefined;
    await expect(
      run({
        passes: [[keysOf('a', 'b')]],
        heard: (one) => (tally = one),
        move: () => {
          throw new Error('the source is away');
        },
      }),
    ).rejects.toThrow('the source is away');
    expect(tally?.snapshot().onBothSides).toBe(2);
  });
});

it('tells what each turn weighed, also of a batch that its mover gave up', async () => {
  const turns: number[] = [];
  const weights: [number, number][] = [];
  const lost = run({
    passes: [[keysOf('a', 'b', 'c')]],
    move({ keys }) {
      if (keys.count === 1) throw new Error('beyond repair');
      return outcome({ moved: keys.count, bytes: 10 });
    },
    throttle: {
      turn: (keyCount) => Promise.resolve(void turns.push(keyCount)),
      weigh: (keyCount, valueBytes) => weights.push([keyCount, valueBytes]),
    },
  });
  await expect(lost).rejects.toThrow('beyond repair');
  expect(turns).toEqual([2, 1]);
  expect(weights.sort()).toEqual([
    [1, 0],
    [2, 10],
  ]);
});

describe('a source that is followed', () => {
  /** Of the first node, and of the second one: that refuses what comes first, and hangs until it is told to go on. */
  const [well, wellToo, away, awayToo] = ['b', 'c', 'a', 'd'] as const;

  /** @param pages are asked for in turn, each when the one before has been taken. */
  async function follow(
    pages: (given: {
      /** What was given back. */
      readonly back: readonly string[];
      /** Resolves when something hangs. */
      readonly hangs: Promise<void>;
      /** By slot. */
      readonly owners: Uint16Array;
      readonly comeBack: () => void;
    }) => AsyncIterable<Page>,
    limits: Partial<PipelineOptions['limits']> = {},
  ) {
    const events: string[] = [];
    const back: string[] = [];
    let isRefusing = true;
    let comeBack = (): void => undefined;
    let isHanging = (): void => undefined;
    const isBack = new Promise<void>((resolve) => (comeBack = resolve));
    const hangs = new Promise<void>((resolve) => (isHanging = resolve));
    const topology = topologyWith(8192);
    const source: Source = {
      ...sourceOf(10),
      isFollowed: true,
      pages: () => pages({ back, hangs, owners: topology.owners, comeBack }),
      giveBack(keys) {
        back.push(...namesOf(keys));
        events.push(`back ${namesOf(keys).join(' ')}`);
      },
    };
    await new Pipeline({
      ...{
        source,
        tally: createTally(source, 'copy'),
        topology,
        record: listingRecord(10),
        logger: quiet,
        states: createServerStates(quiet, ignore),
        signal: new AbortController().signal,
      },
      mover: {
        name: 'relay',
        async move(batch) {
          const { keys, node } = batch;
          await new Promise((resolve) => setImmediate(resolve));
          if (node.port === 7002 && isRefusing) {
            isRefusing = false;
            return outcome({ retries: [{ keys, class: 'unavailable', message: 'refused' }] });
          }
          if (node.port === 7002) {
            isHanging();
            await isBack;
          }
          events.push(`moved ${namesOf(keys).join(' ')}`);
          return outcome({ repeated: keys.count });
        },
      },
      limits: { ...wideLimits, ...limits },
      ...patience,
      copyWhenListed: () => ({ state: 'stored' }),
    }).run();
    return events;
  }

  const again = (...names: string[]): Page => ({ ...keysOf(...names), intent: 'again' });
  const lull: Page = { ...noKeys, intent: 'lull' };
  const rest: Page = { ...noKeys, intent: 'rest' };

  it('has back what a node holds up that is away, and the others go on', async () => {
    const events = await follow(async function* ({ comeBack }) {
      yield again(well, away);
      yield lull;
      // One is under way still, and the other would be as well.
      yield again(wellToo, away, awayToo);
      yield lull;
      await Promise.resolve();
      comeBack();
      yield rest;
      yield again(away, awayToo);
    });
    expect(events).toEqual([
      `moved ${well}`,
      `back ${away}`,
      `back ${away} ${awayToo}`,
      `moved ${wellToo}`,
      `moved ${away}`,
      `moved ${away} ${awayToo}`,
    ]);
  });

  it('has back a key of which something is under way, wherever its slot has moved', async () => {
    const events = await follow(async function* ({ hangs, owners, comeBack }) {
      yield again(away);
      await hangs;
      yield lull;
      owners.fill(0);
      yield again(away, awayToo);
      yield lull;
      comeBack();
    });
    expect(events).toEqual([
      ...[`back ${away}`, `back ${away}`],
      ...[`moved ${awayToo}`, `moved ${away}`],
    ]);
  });

  it('has back what waits for room at a node that is away', async () => {
    const events = await follow(
      async function* ({ comeBack, back }) {
        yield again(away);
        yield again(awayToo, well);
        await Promise.resolve();
        expect(back).toEqual([awayToo]);
        yield lull;
        comeBack();
      },
      { perNode: () => 1 },
    );
    expect(events).toEqual([
      ...[`back ${awayToo}`, `moved ${well}`],
      ...[`back ${away}`, `moved ${away}`],
    ]);
  });

  it('leaves the room that all nodes share to the others while one is away', async () => {
    const events = await follow(
      async function* ({ hangs, comeBack }) {
        yield again(away);
        await hangs;
        yield again(well);
        yield lull;
        comeBack();
      },
      { overall: () => 1 },
    );
    expect(events).toEqual([`moved ${well}`, `back ${away}`, `moved ${away}`]);
  });
});
