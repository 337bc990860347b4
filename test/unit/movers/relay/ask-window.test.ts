import { expect, it } from 'vitest';
import { AskWindow } from '../../../../src/movers/relay/store.js';

const megabyte = 1024 * 1024;

/** How many keys are asked for at one time, at the most, where all weigh the same. */
async function mostAsked(window: AskWindow, keyCount: number, valueBytes: number): Promise<number> {
  let most = 0;
  let asked = 0;
  const answers: (() => void)[] = [];
  const asking = (async () => {
    for (let left = keyCount; left > 0;) {
      const some = await window.enterSome(left);
      left -= some;
      asked += some;
      most = Math.max(most, asked);
      answers.push(() => {
        asked -= some;
        window.leave(some, some * valueBytes);
      });
    }
  })();
  for (let isDone = false; !isDone || answers.length > 0;) {
    isDone = await Promise.race([
      asking.then(() => true),
      new Promise<boolean>((later) => setImmediate(later, false)),
    ]);
    answers.shift()?.();
  }
  return most;
}

it('asks a source of large values for little from the first key on', async () => {
  expect(await mostAsked(new AskWindow(() => 2048), 80, 10 * megabyte)).toBeLessThanOrEqual(3);
});

it('asks for all it may where values are small', async () => {
  expect(await mostAsked(new AskWindow(() => 2048), 50_000, 64)).toBe(2048);
});

it('lets keys of another type grow no faster than what is known', async () => {
  const window = new AskWindow(() => 2048);
  expect(await window.enterSome(100)).toBe(1);
  window.leave(1, 0);
  expect(await window.enterSome(100)).toBe(2);
});

it('takes a part of a batch for what others need not wait long for', async () => {
  const window = new AskWindow(() => 100_000);
  await mostAsked(window, 10_000, 10);
  expect(await window.enterSome(4096)).toBe(512);
});

it('does not cut a part to the room that is left, which would end in crumbs', async () => {
  const window = new AskWindow(() => 256);
  await mostAsked(window, 10_000, 10);
  expect(await window.enterSome(200)).toBe(200);
  expect(await window.enterSome(200)).toBe(200);
});
