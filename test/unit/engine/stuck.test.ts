import { expect, it } from 'vitest';
import { stuckKeys } from '../../../src/engine/stuck.js';

it('knows more keys than it keeps as they are, and takes none for another', () => {
  const stuck = stuckKeys(1000);
  const count = 5000;
  const has = (name: string): boolean => {
    const bytes = Buffer.from(`..${name}.`);
    return stuck.has(bytes, 2, bytes.length - 1);
  };
  for (let at = 0; at < count; at++) stuck.add(Buffer.from(`key:${String(at)}`));
  const places = Array.from({ length: count }, (_, at) => at);
  expect(places.filter((at) => !has(`key:${String(at)}`))).toEqual([]);
  expect(places.filter((at) => has(`key:${String(count + at)}`))).toEqual([]);
  expect(stuck.isFull).toBe(false);
});
