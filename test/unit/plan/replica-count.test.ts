import { expect, it } from 'vitest';
import { tooFewReplicas } from '../../../src/plan/options-checks.js';
import { parseNodes } from '../../../src/redis/topology.js';

const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(40)) as [string, string, string];
const one = `${a} 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191`;
const two = `${b} 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383`;
const replicaOf = (id: string): string => `${c} 10.0.0.3:7000@17000 slave ${id} 0 0 1 connected`;

const found = (wanted: number, ...lines: readonly string[]) =>
  tooFewReplicas(parseNodes(lines.join('\n'), ''), wanted);

it('finds the first master with too few replicas', () => {
  expect(found(1, one, two, replicaOf(a))).toEqual({ address: '10.0.0.2:7000', replicas: 0 });
  expect(found(2, one, two, replicaOf(a))).toEqual({ address: '10.0.0.1:7000', replicas: 1 });
  expect(found(1, one, two, replicaOf(a), replicaOf(b))).toBeUndefined();
});

it.each([
  ['an old master has failed', two.replace(' master', ' master,fail')],
  ['one may have', two.replace(' master', ' master,fail?')],
  ['one has come back, and is no replica yet', `${c} 10.0.0.3:7000@17000 master - 0 0 3 connected`],
])('does not know while %s', (_, line) => {
  expect(found(1, one, line)).toBeUndefined();
});
