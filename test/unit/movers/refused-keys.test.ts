import { expect, it } from 'vitest';
import { type Verdict, verdictOf } from '../../../src/movers/refused-keys.js';

const retry = (why: string): object => ({ kind: 'retry', class: why });
const redirected = (kind: string, address: string): object => ({
  ...retry('redirected'),
  redirect: { kind, address },
});
const failed = (why: string): object => ({ kind: 'failed', class: why });

it.each<[string, object]>([
  ['BUSYKEY Target key name already exists.', { kind: 'exists' }],
  ['MOVED 1234 127.0.0.1:7001', redirected('moved', '127.0.0.1:7001')],
  ['ASK 1234 127.0.0.1:7001', redirected('ask', '127.0.0.1:7001')],
  ['ASK 1234 [::1]:7001', redirected('ask', '[::1]:7001')],
  // As servers write it: without brackets.
  ['ASK 1234 ::1:7001', redirected('ask', '[::1]:7001')],
  ['ASK 1234 :7001', redirected('ask', ':7001')],
  ['ASK', retry('redirected')],
  ['TRYAGAIN Multiple keys request during rehashing of slot', retry('redirected')],
  ['CLUSTERDOWN Hash slot not served', retry('unavailable')],
  ['CLUSTERDOWN The cluster is down', retry('unavailable')],
  ['LOADING Redis is loading the dataset in memory', retry('unavailable')],
  [
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    retry('unavailable'),
  ],
  ["READONLY You can't write against a read only replica.", retry('unavailable')],
  ['MISCONF Redis is configured to save RDB snapshots, but …', retry('unavailable')],
  ['NOREPLICAS Not enough good replicas to write.', retry('unavailable')],
  ['BUSY Redis is busy running a script.', retry('unavailable')],
  ['IOERR error or timeout connecting to the client', retry('unavailable')],
  ['IOERR error or timeout writing to target instance', retry('unavailable')],
  ['IOERR error or timeout reading from target instance', retry('unavailable')],
  ["OOM command not allowed when used memory > 'maxmemory'.", retry('oom')],
  ['NOAUTH Authentication required.', failed('permission')],
  ['WRONGPASS invalid username-password pair or user is disabled.', failed('permission')],
  ["NOPERM this user has no permissions to run the 'restore' command", failed('permission')],
  ['ERR DUMP payload version or checksum are wrong', failed('version')],
  ['ERR Bad data format', failed('version')],
  ['ERR Unsupported foreign data type: 22', failed('version')],
  ['ERR string exceeds maximum allowed size (proto-max-bulk-len)', failed('too-large')],
  ['ERR Protocol error: invalid bulk length', failed('too-large')],
  ['ERR unknown command', failed('other')],
  ["CROSSSLOT Keys in request don't hash to the same slot", failed('other')],
  ['', failed('other')],
  ['MOVEDX', failed('other')],
])('takes "%s" for what it means', (text, verdict) => {
  expect(verdictOf(text)).toEqual<Verdict | object>(verdict);
});
