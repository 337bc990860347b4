/**
 * Lines of redis.conf by which a server keeps small values in other ways than others do, as another
 * version would, so that no payload of what is no string is like the others'.
 */
export const otherEncodings = [
  'hash-max-ziplist-entries 0',
  'zset-max-ziplist-entries 0',
  'set-max-intset-entries 0',
  'list-max-ziplist-size 1',
  'stream-node-max-entries 1',
];
