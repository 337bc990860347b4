/** The choice itself; whether it chooses well is for the bench. The movers are mocks. */
import { expect, it } from 'vitest';
import { autoMover } from '../../../src/movers/auto.js';
import type { Batch, Mover, MoverName, Outcome } from '../../../src/types.js';
import { batchOf, outcome, someKeys } from '../../support/batches.js';

interface MockMover extends Mover {
  readonly sizes: number[];
  mostAtOnce: number;
}

/** Moves so many keys a millisecond. */
function mockMover(name: MoverName, keysPerMs: number): MockMover {
  let atOnce = 0;
  const mover: MockMover = {
    name,
    sizes: [],
    mostAtOnce: 0,
    async move({ keys }: Batch): Promise<Outcome> {
      mover.sizes.push(keys.count);
      mover.mostAtOnce = Math.max(mover.mostAtOnce, ++atOnce);
      await new Promise((done) => setTimeout(done, keys.count / keysPerMs));
      atOnce--;
      return outcome({ moved: keys.count });
    },
  };
  return mover;
}

async function moveUntilChosen(auto: ReturnType<typeof autoMover>): Promise<number> {
  let moved = 0;
  while (auto.measuring) {
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => auto.move(batchOf(someKeys(512)))),
    );
    for (const one of outcomes) {
      expect(one.moved).toBe(512);
      moved += one.moved;
    }
  }
  return moved;
}

it.each<[MoverName, number, number]>([
  ['relay', 100, 4],
  ['migrate', 4, 100],
])('goes on with %s where it is faster', async (faster, relayRate, migrateRate) => {
  const auto = autoMover([
    { mover: mockMover('relay', relayRate) },
    { mover: mockMover('migrate', migrateRate) },
  ]);
  expect(await moveUntilChosen(auto)).toBeGreaterThan(0);
  expect(auto.name).toBe(faster);
  expect(auto.reason).toMatch(/^measured: (relay|migrate) [\d,]+ keys\/s, /);
});

it('ends the turn of one that is clearly behind before its start is over', async () => {
  const slow = mockMover('migrate', 10);
  await moveUntilChosen(autoMover([{ mover: mockMover('relay', 100) }, { mover: slow }]));
  // Eight at a time, of 51 ms each: their first answers only begin the turn.
  expect(slow.sizes.length).toBeLessThan(24);
});

it('gives small portions to one that may be slow, and few at once, until it is chosen', async () => {
  const slow = mockMover('migrate', 2);
  const auto = autoMover([
    { mover: mockMover('relay', 200) },
    { mover: slow, portion: { keys: 64, atOnce: 2 } },
  ]);
  await moveUntilChosen(auto);
  expect(auto.name).toBe('relay');
  expect(Math.max(...slow.sizes)).toBe(64);
  expect(slow.mostAtOnce).toBe(2);
});

it('rules out a mover whose probe can not get a key to its node', async () => {
  const refusing: Mover = {
    name: 'migrate',
    move: ({ keys }) =>
      Promise.resolve(
        outcome({ retries: [{ keys, class: 'unavailable', message: 'no way to there' }] }),
      ),
  };
  const auto = autoMover([
    { mover: mockMover('relay', 200) },
    { mover: mockMover('migrate', 200), probe: refusing },
  ]);
  await moveUntilChosen(auto);
  expect(auto.name).toBe('relay');
  expect(auto.reason).toBe('migrate was ruled out: no way to there');
});

it('rules out a mover whose calls keep the source waiting for too long, before its first turn', async () => {
  const migrate = mockMover('migrate', 200);
  const probe = { ...mockMover('migrate', 200), callMs: () => 51.4 };
  const relay = mockMover('relay', 200);
  const auto = autoMover([{ mover: relay }, { mover: migrate, probe, longestCallMs: 50 }]);
  const outcomes = await Promise.all(
    Array.from({ length: 4 }, () => auto.move(batchOf(someKeys(512)))),
  );
  expect(outcomes.map(({ moved }) => moved)).toEqual([512, 512, 512, 512]);
  expect([auto.name, auto.measuring]).toEqual(['relay', false]);
  expect(auto.reason).toBe(
    'migrate was ruled out: a single key keeps the source waiting for 51 ms',
  );
  // A second time, because the first one may have had to connect.
  expect(probe.sizes).toEqual([1, 1]);
  expect([migrate.sizes, [...relay.sizes].sort()]).toEqual([[], [510, 512, 512, 512]]);
});

it('has nothing else under way while it tries a mover', async () => {
  let underWay = 0;
  const seen: number[] = [];
  const busy = (mover: Mover, look: boolean): Mover => ({
    name: mover.name,
    async move(batch) {
      if (look) seen.push(underWay);
      underWay++;
      const moved = await mover.move(batch);
      underWay--;
      return moved;
    },
  });
  const auto = autoMover([
    { mover: busy(mockMover('relay', 20), false) },
    { mover: busy(mockMover('migrate', 20), false), probe: busy(mockMover('migrate', 1), true) },
  ]);
  const batchTo = (address: string): Batch => {
    const batch = batchOf(someKeys(512));
    return { ...batch, node: { ...batch.node, address } };
  };
  const first = auto.move(batchTo('127.0.0.1:1'));
  const others = [1, 1, 2].map((port) => auto.move(batchTo(`127.0.0.1:${String(port)}`)));
  await Promise.race(others);
  // A node that is met later is tried as well, once all that is under way has ended.
  await Promise.all([first, ...others, auto.move(batchTo('127.0.0.1:3'))]);
  expect(seen).toEqual([0, 0, 0]);
});

it('tries a node again when the probe lost its connections, and tells whoever gave the batch', async () => {
  let probed = 0;
  const losing: Mover = {
    name: 'migrate',
    move: ({ keys }) =>
      ++probed === 1
        ? Promise.reject(new Error('the source is away'))
        : Promise.resolve(outcome({ moved: keys.count })),
  };
  // The first turn is its own: nobody else waits for the first probe, so nobody else may hear of it.
  const auto = autoMover([
    { mover: mockMover('migrate', 200), probe: losing },
    { mover: mockMover('relay', 200) },
  ]);
  await expect(auto.move(batchOf(someKeys(512)))).rejects.toThrow('the source is away');
  expect((await auto.move(batchOf(someKeys(512)))).moved).toBe(512);
  expect(probed).toBe(2);
});

it('tells the next mover what a failed probe may have done with its key', async () => {
  const relay = mockMover('relay', 100);
  const doubts: (string | undefined)[] = [];
  const move = relay.move.bind(relay);
  relay.move = (batch) => {
    for (let index = 0; index < batch.keys.count; index++) doubts.push(batch.copy.state);
    return move(batch);
  };
  const failing: Mover = {
    name: 'migrate',
    move: ({ keys }) =>
      Promise.resolve(
        outcome({
          retries: [
            { keys, class: 'unavailable', message: 'IOERR', copy: { state: 'may-be-stored' } },
          ],
        }),
      ),
  };
  const auto = autoMover([{ mover: relay }, { mover: mockMover('migrate', 100), probe: failing }]);
  await moveUntilChosen(auto);
  expect(auto.name).toBe('relay');
  expect(doubts.filter((doubt) => doubt === 'may-be-stored')).toHaveLength(1);
});

const besides = { roundTripMs: () => 0, mustSpare: () => false, isHeldBack: () => false };

it('takes the first while clients of the source are spared, and measures as soon as they are not', async () => {
  let mustSpare = true;
  const movers = [{ mover: mockMover('relay', 4) }, { mover: mockMover('migrate', 100) }] as const;
  const auto = autoMover(movers, { ...besides, mustSpare: () => mustSpare });
  for (let nth = 0; nth < 20; nth++) await auto.move(batchOf(someKeys(1)));
  expect([auto.name, auto.measuring]).toEqual(['relay', false]);
  expect(auto.reason).toBe('MIGRATE would keep other clients of the source waiting');
  mustSpare = false;
  await auto.move(batchOf(someKeys(1)));
  await moveUntilChosen(auto);
  expect(auto.name).toBe('migrate');
  mustSpare = true;
  await auto.move(batchOf(someKeys(1)));
  expect([auto.name, auto.measuring]).toEqual(['relay', false]);
});

it('does not measure again because the run is paused or held back', async () => {
  let isHeldBack = false;
  const relay = mockMover('relay', 100);
  const movers = [{ mover: relay }, { mover: mockMover('migrate', 4) }] as const;
  const auto = autoMover(movers, { ...besides, isHeldBack: () => isHeldBack });
  await moveUntilChosen(auto);
  isHeldBack = true;
  for (const endMs = performance.now() + 2200; performance.now() < endMs;) {
    await auto.move(batchOf(someKeys(1)));
    expect(auto.measuring).toBe(false);
  }
});
