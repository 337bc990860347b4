import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/async.js';

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
