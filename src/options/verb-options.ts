/** What the verbs beside the import are asked to do: their rows, as `options.ts` has those of an import. */
import { accessRows, queueAccessRows } from './access.js';
import { UsageError } from '../errors.js';
import { importRows } from './options.js';
import {
  count,
  duration,
  type Duration,
  flag,
  type Given,
  given,
  list,
  longDuration,
  readRows,
  type Row,
  type Rows,
  text,
  type Values,
} from './rows.js';

/* Verifying. */

/** How many keys to look at. */
export type Sample = { readonly keys: number } | { readonly share: number };

const fromWords = {
  flag: '--from <endpoint>',
  help: 'a source whose keys must be in the cluster, or a dump or append-only file; may be repeated',
};

export const verifyRows = {
  /** The sources, or copies of them. */
  from: list(fromWords),
  fromCluster: importRows.fromCluster,
  db: { ...importRows.db, help: importRows.db.help.replace('to move', 'to compare') },
  /** Any node of the cluster. */
  to: given({ flag: '--to <endpoint>', help: 'any node of the cluster' }),
  ...accessRows,
  redisServer: {
    ...importRows.redisServer,
    help: 'the redis-server that loads files given in --from (default: the one on PATH)',
  },
  match: importRows.match,
  exclude: importRows.exclude,
  type: importRows.type,
  minTtlMs: importRows.minTtlMs,
  keyPrefix: {
    ...importRows.keyPrefix,
    help: 'what an import with --key-prefix has put ahead of each name; {db} and {from} as there',
  },
  /** Only some keys; undefined: all. */
  sample: sample({
    flag: '--sample <n|percent>',
    help: 'look at so many keys, taken at random, or at such a part of them (10000, 5%)',
  }),
  fast: flag({ flag: '--fast', help: 'compare types and TTLs, not values' }, false),
  repair: flag(
    {
      flag: '--repair',
      help: 'copy the keys that are missing or differ again, and look once more',
    },
    false,
  ),
  ttlToleranceMs: longDuration(
    { flag: '--ttl-tolerance <ms>', help: 'how far deadlines may be apart' },
    { fallback: 1000, min: 0, max: 86_400_000 },
  ),
  /** Write each difference there, one JSON object a line; `--only-keys` of an import takes it. */
  differences: text({
    flag: '--differences <file>',
    help: 'write each difference to a file, as JSON lines, which --only-keys of an import takes',
  }),
  timeoutMs: importRows.timeoutMs,
  retryForMs: importRows.retryForMs,
  quiet: importRows.quiet,
} satisfies Rows;

export type VerifyOptions = Values<typeof verifyRows>;

export type GivenVerifyOptions = Given<typeof verifyRows, 'to'>;

/** @throws UsageError naming the flag. */
export function readVerifyOptions(options: Readonly<Record<string, unknown>>): VerifyOptions {
  const read = readRows(verifyRows, options);
  if (read.from.length === 0 && read.fromCluster === undefined) given(fromWords).fallback();
  return read;
}

function sample(words: {
  readonly flag: string;
  readonly help: string;
}): Row<Sample | undefined, number | `${number}` | `${number}%`> {
  return {
    ...words,
    fallback: () => undefined,
    read(value) {
      const [, digits = '', percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(String(value).trim()) ?? [];
      const amount = Number(digits);
      if (percent === '%' && amount > 0 && amount <= 100) return { share: amount / 100 };
      if (percent === '' && Number.isInteger(amount) && amount > 0) return { keys: amount };
      throw new UsageError('--sample must be a number of keys or a percentage: write 10000 or 5%.');
    },
  };
}

/* Assessing. */

export const assessRows = {
  from: oneSource({ flag: '--from <endpoint>', help: 'the server that is to move' }),
  to: text({ flag: '--to <endpoint>', help: 'any node of the cluster that it is to move into' }),
  ...accessRows,
  watchMs: watchTime({
    flag: '--watch <time>',
    help: 'watch the commands for so long (60s); MONITOR slows a busy source down meanwhile',
  }),
  watchLimit: count(
    { flag: '--watch-limit <n>', help: 'watch no more commands' },
    { fallback: 1_000_000, min: 1, max: Number.MAX_SAFE_INTEGER },
  ),
  watchLatencyMs: duration(
    {
      flag: '--watch-latency <ms>',
      help: 'end watching when the server takes so much longer to answer',
    },
    { fallback: 250, min: 1, max: 3_600_000 },
  ),
  sample: count(
    { flag: '--sample <n>', help: 'how many keys to look at, taken at random' },
    { fallback: 2000, min: 0, max: 1_000_000 },
  ),
  /** Only keys that match one of these globs are sampled, and have to be readable. */
  match: importRows.match,
  html: text({ flag: '--html <file>', help: 'write the report to a file, as one page' }),
  timeoutMs: importRows.timeoutMs,
} satisfies Rows;

export type AssessOptions = Values<typeof assessRows>;
export type GivenAssessOptions = Given<typeof assessRows, 'from'>;

/** @throws UsageError naming the flag. */
export function readAssessOptions(options: Readonly<Record<string, unknown>>): AssessOptions {
  return readRows(assessRows, options);
}

interface Words {
  readonly flag: string;
  readonly help: string;
}

/** Several would be taken for one that is several servers' sum. */
function oneSource(words: Words): Row<string> {
  const row = given(words);
  return {
    ...row,
    repeatable: true,
    read(value) {
      const [first, ...others] = Array.isArray(value) ? (value as unknown[]) : [value];
      if (others.length === 0) return row.read(first);
      throw new UsageError('--from can be given only once: assess one server after the other.');
    },
  };
}

/** Less than a second is a number that lacks its unit. */
function watchTime(words: Words): Row<number, Duration> {
  const row = duration(words, { fallback: 0, min: 0, max: 86_400_000 });
  return {
    ...row,
    read(value) {
      const watchMs = row.read(value);
      if (watchMs === 0 || watchMs >= 1000) return watchMs;
      throw new UsageError(
        `--watch must be at least one second, and ${String(value)} is ${String(watchMs)} ms: give its unit, as in 60s or 5m.`,
      );
    },
  };
}

/* Being a worker of a queue. */

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
