/** What `cluster-import worker` is asked to do. */
import { accessRows, queueAccessRows } from './access.js';
import { count, given, longDuration, type Rows, text } from './rows.js';

export const workerRows = {
  queue: given({ flag: '--queue <endpoint>', help: 'the Redis that holds the jobs' }),
  concurrency: count(
    { flag: '--concurrency <n>', help: 'so many jobs at a time, each in a process of its own' },
    { fallback: 1, min: 1, max: 256 },
  ),
  metrics: text({
    flag: '--metrics <[host:]port>',
    help: 'serve Prometheus metrics of this worker at /metrics; on the loopback unless a host is given',
  }),
  timeoutMs: longDuration(
    { flag: '--timeout <ms>', help: "how long the queue's Redis may be silent" },
    { fallback: 10_000, min: 1, max: 3_600_000 },
  ),
  ...queueAccessRows,
  fromPassword: accessRows.fromPassword,
  fromPasswordFile: accessRows.fromPasswordFile,
  sentinelPassword: accessRows.sentinelPassword,
  fromTlsCa: accessRows.fromTlsCa,
  fromTlsCert: accessRows.fromTlsCert,
  fromTlsKey: accessRows.fromTlsKey,
  toPassword: accessRows.toPassword,
  toPasswordFile: accessRows.toPasswordFile,
  toTlsCa: accessRows.toTlsCa,
  toTlsCert: accessRows.toTlsCert,
  toTlsKey: accessRows.toTlsKey,
} satisfies Rows;
