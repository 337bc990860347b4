import { describe, expect, it } from 'vitest';
import { Gate, isDoneWithin, unlessAborted, within } from '../../src/async.js';

const moment = () => new Promise((resolve) => setImmediate(resolve));

describe('a gate', () => {
  it('lets those through at once whose condition holds', async () => {
    await new Gate().until(() => true);
  });

  it('keeps the others until a check finds that theirs holds', async () => {
    const gate = new Gate();
    const passed: string[] = [];
    let level = 0;
    void gate.until(() => level >= 2).then(() => passed.push('high'));
    void gate.until(() => level >= 1).then(() => passed.push('low'));
    level = 1;
    await moment();
    expect(passed).toEqual([]);
    gate.check();
    await moment();
    expect(passed).toEqual(['low']);
    level = 2;
    gate.check();
    gate.check();
    await moment();
    expect(passed).toEqual(['low', 'high']);
  });

  it('asks in the order in which they came, and what one takes those behind do not get', async () => {
    const gate = new Gate();
    const passed: number[] = [];
    let free = 0;
    for (const nth of [0, 1, 2]) {
      void gate.until(() => free > 0 && free-- > 0).then(() => passed.push(nth));
    }
    free = 2;
    gate.check();
    await moment();
    expect([passed, free]).toEqual([[0, 1], 0]);
  });
});

describe('unlessAborted', () => {
  it('gives what the work comes to, or the reason of the signal that comes first', async () => {
    const stop = new AbortController();
    expect(await unlessAborted(Promise.resolve(1), stop.signal)).toBe(1);
    const failing = Promise.reject(new Error('failed'));
    await expect(unlessAborted(failing, stop.signal)).rejects.toThrow('failed');
    const never = unlessAborted(new Promise(() => undefined), stop.signal);
    stop.abort(new Error('stopped'));
    await expect(never).rejects.toThrow('stopped');
  });

  it('hears of the end of work that was begun too late', async () => {
    const heard: unknown[] = [];
    const hear = (error: unknown): number => heard.push(error);
    process.on('unhandledRejection', hear);
    const late = Promise.reject(new Error('late'));
    await expect(unlessAborted(late, AbortSignal.abort(new Error('stopped')))).rejects.toThrow(
      'stopped',
    );
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', hear);
    expect(heard).toEqual([]);
  });
});

describe('work that may never end', () => {
  it.each([
    ['has ended', () => Promise.resolve(), true],
    ['has failed', () => Promise.reject(new Error('it did')), true],
    ['goes on', () => new Promise(() => undefined), false],
  ])('is told to be done or not when it %s', async (_, work, isDone) => {
    expect(await isDoneWithin(20, work())).toBe(isDone);
  });

  it('comes to what it comes to in time, and to something else when it is late', async () => {
    expect(await within(60_000, Promise.resolve('done'), 'late')).toBe('done');
    await expect(within(60_000, Promise.reject(new Error('it did')), 'late')).rejects.toThrow();
    expect(await within(20, new Promise(() => undefined), 'late')).toBe('late');
  });
});
