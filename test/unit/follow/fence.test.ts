/** A fence over a mock of the source, whose answer to CLIENT PAUSE can be kept waiting. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createFence, type Fence, fenceFor } from '../../../src/follow/fence.js';
import { SourceLine } from '../../../src/follow/source-line.js';
import type { Control } from '../../../src/redis/control.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function mockSource() {
  const asked: string[] = [];
  let answer = (): void => undefined;
  const call = (...words: readonly unknown[]): Promise<unknown> => {
    asked.push(words.slice(0, 2).join(' '));
    if (words[1] !== 'PAUSE') return Promise.resolve('OK');
    return new Promise((resolve) => {
      answer = () => {
        resolve('OK');
      };
    });
  };
  const control = { call, close: () => undefined } as unknown as Control;
  return {
    asked,
    line: new SourceLine(() => Promise.resolve(control)),
    answerPause: (): void => {
      answer();
    },
  };
}

async function held(fence: Fence, answerPause: () => void): Promise<void> {
  const holding = fence.hold();
  await vi.advanceTimersByTimeAsync(0);
  answerPause();
  await holding;
}

it('renews a pause for as long as it is wanted', async () => {
  const { asked, line, answerPause } = mockSource();
  const fence = createFence(fenceFor('pause', 70_000), line);
  await held(fence, answerPause);
  await vi.advanceTimersByTimeAsync(1000);
  expect(asked).toEqual(['CLIENT PAUSE', 'CLIENT PAUSE']);
  await fence.release();
  await vi.advanceTimersByTimeAsync(5000);
  expect(asked).toEqual(['CLIENT PAUSE', 'CLIENT PAUSE', 'CLIENT UNPAUSE']);
});

it('renews no pause that was let go before the source has answered', async () => {
  const { asked, line, answerPause } = mockSource();
  const fence = createFence(fenceFor('pause', 70_000), line);
  const holding = fence.hold();
  await vi.advanceTimersByTimeAsync(0);
  await fence.release();
  line.close();
  answerPause();
  await holding;
  await vi.advanceTimersByTimeAsync(5000);
  expect(asked).toEqual(['CLIENT PAUSE', 'CLIENT UNPAUSE']);
});

it('renews a pause of all clients, and waits until it has ended by itself', async () => {
  const { asked, line, answerPause } = mockSource();
  const fence = createFence(fenceFor('auto', 50_014), line);
  await held(fence, answerPause);
  const heldMs = performance.now();
  expect(fence.hasHeldSince(heldMs)).toBe(true);
  await vi.advanceTimersByTimeAsync(150);
  answerPause();
  await vi.advanceTimersByTimeAsync(0);
  let isOver = false;
  void fence.unpause().then(() => (isOver = true));
  await vi.advanceTimersByTimeAsync(500);
  expect(isOver).toBe(false);
  await vi.advanceTimersByTimeAsync(200);
  expect(isOver).toBe(true);
  expect(asked).toEqual(['CLIENT PAUSE', 'CLIENT PAUSE']);
});

it.each([
  [20_824, 'refuse', false],
  [30_007, 'pause', true],
  [60_020, 'pause', true],
  [60_200, 'pause', false],
])('chooses the best fence that %i has', (versionNumber, name, holdsAll) => {
  expect(fenceFor('auto', versionNumber)).toEqual({ name, holdsAll });
});

it('asks over another connection from the moment at which it is told to', async () => {
  const opened: string[] = [];
  const line = new SourceLine(() => {
    const name = `connection ${String(opened.length + 1)}`;
    const call = (): Promise<string> => Promise.resolve(name);
    opened.push(name);
    return Promise.resolve({ call, close: () => opened.push(`end of ${name}`) } as never);
  });
  const who = (): Promise<unknown> => line.use((control) => control.call('PING'));
  expect([await who(), await who()]).toEqual(['connection 1', 'connection 1']);
  line.renew();
  expect(await who()).toBe('connection 2');
  expect(opened).toContain('end of connection 1');
});

it('puts back what a hold is still setting when it is let go', async () => {
  const { asked, line } = mockSource();
  const fence = createFence(fenceFor('refuse', 70_000), line);
  const holding = fence.hold();
  await fence.release();
  await holding;
  // Reads what it was, sets it, and sets it back.
  expect(asked.filter((words) => words === 'CONFIG SET')).toHaveLength(2);
});
