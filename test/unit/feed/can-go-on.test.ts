/** Whether a server will go on is known before it is asked, as the server decides it. */
import { expect, it } from 'vitest';
import { canGoOn, type StreamState } from '../../../src/feed/source-commands.js';

const state: StreamState = {
  version: '7.0.15',
  versionNumber: 70015,
  isReplica: false,
  isLoading: false,
  replicationId: 'aaaa',
  earlierId: 'bbbb',
  earlierEnd: 151,
  offset: 200,
  backlog: { firstOffset: 101, byteLength: 100 },
  replicas: 0,
  usedDbs: [0],
  hasOneDb: false,
};

it.each([
  ['at the end', 'aaaa', 200, true],
  ['at the first byte that it has', 'aaaa', 100, true],
  ['in other letters', 'AAAA', 150, true],
  ['before the first byte', 'aaaa', 99, false],
  ['beyond the end', 'aaaa', 201, false],
  ['in the earlier history', 'bbbb', 120, true],
  ['where the earlier history ended', 'bbbb', 150, true],
  ['beyond the earlier history', 'bbbb', 151, false],
  ['in another history', 'cccc', 150, false],
])('can or can not go on %s', (_, id, offset, can) => {
  expect(canGoOn(state, id, offset)).toBe(can);
});

it('can not go on without a backlog', () => {
  expect(canGoOn({ ...state, backlog: undefined }, 'aaaa', 200)).toBe(false);
});
