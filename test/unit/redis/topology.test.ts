import { expect, it } from 'vitest';
import { isMigrateKeysSafe, parseVersion } from '../../../src/redis/server.js';
import { parseSlots, uncoveredSlots } from '../../../src/redis/topology.js';

const node = (host: string, port: number) => ({
  host,
  port,
  address: host.includes(':') ? `[${host}]:${String(port)}` : `${host}:${String(port)}`,
});

it('reads the masters and replicas of old and new servers', () => {
  const reply = [
    [0, 99, ['10.0.0.1', 7000], ['10.0.0.2', 7001]], // 3.0
    [100, 199, ['::1', 7002, 'id']], // 4.0
    [200, 16383, ['node.example.com', 7003, 'id', ['ip', '10.0.0.3']]], // 7.0
  ];
  expect(parseSlots(reply, 'seed')).toEqual([
    { first: 0, last: 99, master: node('10.0.0.1', 7000), replicas: [node('10.0.0.2', 7001)] },
    { first: 100, last: 199, master: node('::1', 7002), replicas: [] },
    { first: 200, last: 16383, master: node('node.example.com', 7003), replicas: [] },
  ]);
});

it.each([
  ['an empty host', ['', 7000, 'id'], 'seed'],
  ['no host', [null, 7000, 'id', []], 'seed'],
  ['an unset hostname', ['?', 7000, 'id', []], 'seed'],
  ['an unset hostname with an address', ['?', 7000, 'id', ['ip', '10.0.0.1']], '10.0.0.1'],
])('finds the way to a node that announces %s', (_, announced, host) => {
  expect(parseSlots([[0, 1, announced]], 'seed')[0]?.master).toEqual(node(host, 7000));
});

it('finds the slots that nobody owns', () => {
  const range = (first: number, last: number) => ({
    first,
    last,
    master: node('a', 1),
    replicas: [],
  });
  expect(uncoveredSlots([])).toEqual([[0, 16383]]);
  expect(uncoveredSlots([range(8000, 16383), range(0, 7999)])).toEqual([]);
  expect(uncoveredSlots([range(12, 20), range(1, 10), range(22, 16382)])).toEqual([
    [0, 0],
    [11, 11],
    [21, 21],
    [16383, 16383],
  ]);
});

it.each([
  ['2.8.24', 20824, false],
  ['3.0.5', 30005, false],
  ['3.0.7', 30007, false],
  ['3.2.7', 30207, false],
  ['3.2.8', 30208, true],
  ['4.0.14', 40014, true],
  ['5.0.0', 50000, false],
  ['6.0.20', 60020, false],
  ['6.2.2', 60202, false],
  ['6.2.3', 60203, true],
  ['7.0.15', 70015, true],
  ['8.0', 80000, true],
  ['255.255.255', 2575755, true],
  ['df-v1', 0, false],
])('knows whether MIGRATE KEYS can be trusted on %s', (version, number, isSafe) => {
  expect(parseVersion(version)).toBe(number);
  expect(isMigrateKeysSafe(number)).toBe(isSafe);
});
