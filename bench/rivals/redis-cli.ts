/** `redis-cli --cluster import`, which is what people have: everything is measured by it. */
import { findRedis } from '../../scripts/find-redis.mjs';
import type { Rival } from '../types.js';

export const redisCli: Rival = {
  name: 'redis-cli',
  title: 'redis-cli --cluster import',
  isSlow: true,
  isQuick: true,
  keysEnd: 'in the cluster',
  missing: () => (findRedis('redis-cli') === undefined ? 'there is no redis-cli' : undefined),
  prepare: ({ from, to }) =>
    Promise.resolve({
      program: findRedis('redis-cli') ?? 'redis-cli',
      args: ['--cluster', 'import', to, '--cluster-from', from],
    }),
};
