import { expect, it } from 'vitest';
import { createWaits } from '../../../src/watch/waits.js';

function begin() {
  let nowMs = 0;
  const waits = createWaits(() => nowMs);
  const at = (ms: number) => {
    nowMs = ms;
    return waits;
  };
  at(0).connecting();
  at(30).connected();
  return at;
}

it('tells the longest wait once, and that of what is not answered as it grows', () => {
  const at = begin();
  const [one, two] = [at(100).asked(), at(200).asked()];
  at(250).answered(one);
  at(260).answered(two);
  expect(at(1000).take()).toBe(150);
  expect(at(1001).take()).toBe(0);
  at(2000).asked();
  expect(at(2400).take()).toBe(400);
  expect(at(3400).take()).toBe(1400);
});

it('goes on with the wait when a silent server loses the question', () => {
  const at = begin();
  at(1000).asked();
  at(3000).lost();
  at(3000).connecting();
  expect(at(3400).take()).toBe(2400);
  // The system takes connections of a process that stands still.
  at(5500).connected();
  at(5500).asked();
  expect(at(6500).take()).toBe(5500);
  at(7500).lost();
  at(7500).connecting();
  expect(at(8600).take()).toBe(7600);
  at(9000).connected();
  const again = at(9000).asked();
  at(9001).answered(again);
  expect(at(9002).take()).toBe(8001);
  expect(at(9003).take()).toBe(0);
});

it('takes no connecting for a wait, as long as it is no long one', () => {
  let nowMs = 0;
  const waits = createWaits(() => nowMs);
  waits.connecting();
  nowMs = 900;
  expect(waits.take()).toBe(0);
  waits.connected();
  expect(waits.take()).toBe(0);
  waits.lost();
  waits.connecting();
  nowMs = 3000;
  expect(waits.take()).toBe(2100);
});

it('tells of nobody who waits for a server that refuses at once', () => {
  const at = begin();
  at(1000).asked();
  at(3000).lost();
  at(3000).connecting();
  at(3001).refused();
  expect(at(9000).take()).toBe(0);
});
