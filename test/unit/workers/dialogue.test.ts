/** Two sides that ask each other in plain JSON. */
import { expect, it } from 'vitest';
import { ImportError } from '../../../src/errors.js';
import { Dialogue, type Said } from '../../../src/workers/dialogue.js';

interface Adding {
  add(one: number, other: number): number;
  fail(): void;
  wait(): Promise<void>;
}

function pair() {
  const asking: Dialogue<Adding> = new Dialogue((said) => {
    answering.hear(JSON.parse(JSON.stringify(said)) as Said);
  });
  const answering: Dialogue<Adding> = new Dialogue((said) => {
    asking.hear(JSON.parse(JSON.stringify(said)) as Said);
  });
  answering.answer<Adding>({
    add: (one, other) => one + other,
    fail() {
      throw new ImportError('the source was lost');
    },
    wait: () => new Promise(() => undefined),
  });
  return { asking, answering };
}

it('brings each answer to the one who asked', async () => {
  const { asking } = pair();
  expect(await Promise.all([asking.ask('add', 1, 2), asking.ask('add', 3, 4)])).toEqual([3, 7]);
});

it('brings what the other side has thrown', async () => {
  const { asking } = pair();
  await expect(asking.ask('fail')).rejects.toEqual(new ImportError('the source was lost'));
});

it('leaves nobody waiting for one who is gone', async () => {
  const { asking } = pair();
  const gone = new ImportError('it died');
  const waiting = asking.ask('wait');
  asking.end(gone);
  await expect(waiting).rejects.toBe(gone);
  await expect(asking.ask('add', 1, 2)).rejects.toBe(gone);
});
