/** Connections are told together by who they say they are. */
import { expect, it } from 'vitest';
import { clientWords, groupClients, readClientList } from '../../../src/assess/monitor.js';

const known = readClientList(
  [
    'id=3 addr=10.0.1.7:50001 laddr=10.0.0.5:6379 fd=8 name=web age=9 cmd=get user=default lib-name=jedis lib-ver=5.1',
    'id=4 addr=10.0.1.7:50002 laddr=10.0.0.5:6379 fd=9 name=web age=9 cmd=get user=default lib-name=jedis lib-ver=5.1',
    'id=5 addr=10.0.1.8:50003 fd=10 name= age=9 cmd=get user=jobs',
    'id=6 addr=[::1]:50004 fd=11 name= age=9 cmd=get user=default lib-name=redis-py(celery_v5) lib-ver=',
    'id=7 addr=10.0.1.3:50005 fd=12 name=cron:17 age=9',
    '',
  ].join('\n'),
);

it('joins those of one host that are called the same, the most first', () => {
  const seen = ['10.0.1.8:50003', '10.0.1.7:50001', '10.0.1.7:50002', '10.0.1.9:1', '10.0.1.9:2'];
  const groups = groupClients(new Set(seen), known);
  expect(groups).toEqual([
    { host: '10.0.1.7', name: 'web', library: 'jedis', connections: 2 },
    { host: '10.0.1.9', connections: 2 },
    { host: '10.0.1.8', user: 'jobs', connections: 1 },
  ]);
  expect(clientWords(groups)).toBe(
    '10.0.1.7 (web, 2 connections), 10.0.1.9 (2 connections), 10.0.1.8 (user jobs, 1 connection)',
  );
});

it('knows libraries, and folds numbers in names', () => {
  const groups = groupClients(
    new Set(['[::1]:50004', '10.0.1.3:50005', 'unix:/tmp/redis.sock']),
    known,
  );
  expect(clientWords(groups)).toBe(
    '[::1] (redis-py(celery_v5), 1 connection), 10.0.1.3 (cron:<n>, 1 connection), unix:/tmp/redis.sock (1 or more connections)',
  );
});

it('says where it has not kept all', () => {
  const many = Array.from({ length: 100 }, (_, at) => `10.0.1.${String(at % 7)}:${String(at)}`);
  const words = clientWords(groupClients(new Set(many), known));
  expect(words).toMatch(/^10\.0\.1\.0 \(15 or more connections\), /);
  expect(words).toMatch(/ and 2 more$/);
});
