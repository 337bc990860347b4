/**
 * Every option once: its flag, default, check and help text stand in one row of a table.
 *
 * The command line makes its flags from the rows and the library checks its options with them, so
 * both take the same values, and a new option is a new row. Values are plain JSON. The rows are in
 * groups, each with a type: a function takes those that it reads, not all.
 */
import {
  type AccessOptions,
  accessRows,
  type QueueAccessOptions,
  queueAccessRows,
} from './access.js';
import {
  bytes,
  choice,
  count,
  countOrAuto,
  duration,
  flag,
  type Given,
  given,
  list,
  longDuration,
  optionalBytes,
  optionalChoice,
  optionalCount,
  durationOr,
  programFlag,
  readRows,
  type Row,
  type Rows,
  testFlag,
  text,
  url,
  type Values,
} from './rows.js';
import type { MoverChoice } from '../types.js';

/** Where the keys are, and where they go. */
const endpointRows = {
  /** The sources: `host:port`, `redis://…`, `rediss://…`, `sentinel://…`. */
  from: list({
    flag: '--from <endpoint>',
    help: 'the running source: its keys are moved, deleted there as they arrive; or a dump.rdb, - for standard input; may be repeated',
  }),
  /** What loads append-only files. */
  redisServer: text({
    flag: '--redis-server <path>',
    help: 'the redis-server that loads append-only files given in --from (default: the one on PATH)',
  }),
  /** Import what can be read of a dump that is not as it was written. */
  damaged: flag(
    {
      flag: '--damaged',
      help: 'import what stands before the damage in a dump whose checksum is wrong',
    },
    false,
  ),
  /** Any node of a cluster whose masters are sources. */
  fromCluster: text({
    flag: '--from-cluster <endpoint>',
    help: 'any node of a cluster: all of its masters are sources',
  }),
  /** The databases of each source: numbers, or `all`. */
  db: list({
    flag: '--db <numbers>',
    help: 'the databases to move, as in 0,3, or all (default: the one that --from names, or 0)',
  }),
  /** Any node of the target cluster, in the same forms. */
  to: given({ flag: '--to <endpoint>', help: 'any node of the target cluster' }),
} satisfies Rows;

export type EndpointOptions = Values<typeof endpointRows>;

/** What is done with the keys. */
const jobRows = {
  /** Leave the source as it is. */
  copy: flag({ flag: '--copy', help: 'leave the source as it is' }, false),
  /** What happens to keys that the cluster has already; undefined: replace if it is empty. */
  replace: flag(
    {
      flag: '--replace',
      help: 'overwrite keys that the cluster already has (default: only if it starts empty)',
      negated: 'leave keys that the cluster already has alone, on both sides, and report them',
    },
    undefined,
  ),
  /** Count what there is, by node and type, and move nothing. */
  dryRun: flag(
    {
      flag: '--dry-run',
      help: 'count the keys by node and type, and those that collide; move nothing',
    },
    false,
  ),
  /** Bring function libraries along. */
  functions: flag(
    { flag: '--functions', help: "restore the source's function libraries on every master (7.0)" },
    false,
  ),
  /** Copy everything, and keep the cluster up to date with the source until the cutover. */
  follow: flag(
    {
      flag: '--follow',
      help: 'copy everything, then keep the cluster up to date with the source until the cutover',
    },
    false,
  ),
} satisfies Rows;

export type JobOptions = Values<typeof jobRows>;

/** How a source is followed, and the cluster takes over. */
const followRows = {
  /** How changes at the source are learnt. */
  feed: choice(
    {
      flag: '--feed <name>',
      help: 'how --follow learns of changes; auto takes the first of the others that the source allows',
    },
    ['auto', 'replication', 'tracking', 'notifications', 'none'],
    'auto',
  ),
  /** When writes are held and the cluster takes over: when told, or as soon as the lag allows it. */
  cutover: choice(
    {
      flag: '--cutover <when>',
      help: 'when the cluster takes over: when told by `cluster-import ctl cutover`, or by itself as soon as it can',
    },
    ['manual', 'auto'],
    'manual',
  ),
  /** How writes at the source are held for the cutover. */
  fence: choice(
    {
      flag: '--fence <name>',
      help: 'how writes are held for the cutover: they wait, they are refused, or you have stopped them',
    },
    ['auto', 'pause', 'refuse', 'none'],
    'auto',
  ),
  /** How long writes may be held. */
  maxHoldMs: longDuration(
    {
      flag: '--max-hold <ms>',
      help: 'how long writes may be held; then they are let go, and following goes on',
    },
    { fallback: 5000, min: 10, max: 3_600_000 },
  ),
  /** Switches the clients over: run while writes are held and the cluster equals the source. */
  onCutover: text({
    flag: '--on-cutover <command>',
    help: 'run this while writes are held and the cluster equals the source: it switches the clients over',
  }),
} satisfies Rows;

export type FollowOptions = Values<typeof followRows>;

/** Which keys, and by which names they arrive. */
const selectionRows = {
  /** Only keys that match one of these globs. */
  match: list({ flag: '--match <glob>', help: 'only keys that match; may be repeated' }),
  /** No keys that match one of these. */
  exclude: list({ flag: '--exclude <glob>', help: 'no keys that match; may be repeated' }),
  /** Only keys of these types, as TYPE names them. */
  type: list({ flag: '--type <type>', help: 'only keys of this type; may be repeated' }),
  /** No keys that expire sooner. */
  minTtlMs: longDuration(
    { flag: '--min-ttl <ms>', help: 'leave out keys that expire sooner' },
    { fallback: 0, min: 0, max: 315_360_000_000 },
  ),
  /** What to put ahead of each name; {db} and {from} stand for the key's origin. */
  keyPrefix: text({
    flag: '--key-prefix <text>',
    help: "rename on the way: put this ahead of each name; {db} and {from} stand for the key's origin, {{tag}} is a hash tag",
  }),
} satisfies Rows;

export type SelectionOptions = Values<typeof selectionRows>;

/** How values travel. */
const transferRows = {
  mover: choice(
    { flag: '--mover <name>', help: 'how values travel' },
    ['auto', 'relay', 'migrate'] satisfies readonly MoverChoice[],
    'auto',
  ),
  /** From which size on a value travels in slices; undefined: only what no command can carry. */
  splitAboveBytes: optionalBytes(
    {
      flag: '--split-above <bytes>',
      help: 'move larger values in slices, for example above 64mb: costs a question for each key (default: 1mb from Redis 8 while it has giants, else only what is over 512mb)',
    },
    { min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  /** All values but strings travel in slices, as if no node took a payload. */
  byElements: testFlag('byElements'),
} satisfies Rows;

export type TransferOptions = Values<typeof transferRows>;

/** How long servers are waited for. */
const patienceRows = {
  /** How long a server may be silent before its connection counts as lost. */
  timeoutMs: longDuration(
    { flag: '--timeout <ms>', help: 'how long a server may be silent (500, 500ms, 10s, 2m)' },
    { fallback: 10_000, min: 1, max: 3_600_000 },
  ),
  /** How long a server that fails is tried again before it is given up. */
  retryForMs: longDuration(
    { flag: '--retry-for <ms>', help: 'how long to go on trying a server that fails' },
    { fallback: 60_000, min: 0, max: 86_400_000 },
  ),
} satisfies Rows;

export type PatienceOptions = Values<typeof patienceRows>;

/** What must be certain before the source deletes a key. */
const safetyRows = {
  /** Whether the relay makes sure that nobody wrote to a key before it deletes it. */
  guard: flag(
    {
      flag: '--guard',
      help: 'delete a key only if nobody wrote to it meanwhile (the default)',
      negated: 'trust that nobody writes to the source: a little faster, and not safe otherwise',
    },
    true,
  ),
  /** Compare what arrived with what the source has before it is deleted there. */
  verify: flag(
    {
      flag: '--verify',
      help: 'compare each batch with the source before it is deleted there: takes the relay, and each value is read twice',
    },
    false,
  ),
  /** Whether nodes may evict keys, also such as have just left the source. */
  allowEviction: flag(
    {
      flag: '--allow-eviction',
      help: 'go on where nodes evict keys (maxmemory-policy): for caches whose keys may be lost',
    },
    false,
  ),
  /** How many replicas of a node must have a key before the source deletes it. */
  waitReplicas: optionalCount(
    {
      flag: '--wait-replicas <n>',
      help: 'replicas that must have a key before the source deletes it (default: 1 where a node has one in sync)',
    },
    { min: 0, max: 100 },
  ),
  /** Whether node and replicas must have it on disk. */
  waitFsync: flag(
    { flag: '--wait-fsync', help: 'they must have it on disk (WAITAOF, Redis 7.2 and later)' },
    false,
  ),
} satisfies Rows;

export type SafetyOptions = Values<typeof safetyRows>;

/** What the run may take of the servers. */
const limitRows = {
  /** How long one MIGRATE may block the source. */
  maxBlockMs: duration(
    { flag: '--max-block <ms>', help: 'how long one MIGRATE may block the source' },
    { fallback: 10, min: 1, max: 60_000 },
  ),
  /** Keys a second; undefined: as fast as it goes. */
  maxRate: optionalCount(
    { flag: '--max-rate <keys/s>', help: 'move no more keys a second' },
    { min: 1, max: 1_000_000_000 },
  ),
  /** Value bytes a second; 0: as fast as it goes. */
  maxBandwidth: bytes(
    {
      flag: '--max-bandwidth <bytes/s>',
      help: 'move no more a second, for example 20mb; 0 is no limit',
    },
    { fallback: 0, min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  /**
   * How long a client of the source may have to wait because of the run. `auto` spares the source's clients
   * while there are any, and takes a connection and a thread for that: programs have to ask for it.
   */
  maxSourceLatencyMs: durationOr(
    {
      flag: '--max-source-latency <ms|auto|off>',
      help: 'throttle so that the source answers its clients within this time; auto: while others use it, within 2 ms, or three times what it took before, whichever is more (default: auto)',
    },
    ['auto', 'off'],
    { fallback: 'off', min: 1, max: 60_000 },
  ),
} satisfies Rows;

export type LimitOptions = Values<typeof limitRows>;

/** How a run is spread. */
const spreadRows = {
  /** So many processes of this machine take the sources among them; 1: this one does. */
  workers: countOrAuto(
    {
      flag: '--workers <n|auto>',
      help: 'so many processes of this machine take the sources among them; auto: as many as cores',
    },
    { fallback: 1, min: 1, max: 256 },
  ),
  /** The Redis in which the sources become jobs, for workers anywhere. */
  queue: text({
    flag: '--queue <endpoint>',
    help: 'put the sources as jobs in that Redis, for any `cluster-import worker` (needs the package bullmq)',
  }),
} satisfies Rows;

/** How people and programs watch a run, and steer it. */
const watchingRows = {
  /** Serve Prometheus metrics there. */
  metrics: text({
    flag: '--metrics <[host:]port>',
    help: 'serve a page to watch at / and Prometheus metrics at /metrics; on the loopback unless a host is given',
  }),
  /** How long the metrics stay up after the end. */
  metricsLingerSeconds: count(
    {
      flag: '--metrics-linger <seconds>',
      help: 'how long --metrics stays up after the end; Ctrl-C ends it',
    },
    { fallback: 0, min: 0, max: 86_400 },
  ),
  /** Push the metrics there once, at the end. */
  push: url({
    flag: '--push <url>',
    help: 'push the final metrics to a Prometheus Pushgateway (http://host:9091)',
  }),
  /** Open a socket by which `cluster-import ctl` finds the run. */
  control: programFlag('control', 'let `cluster-import ctl` find the run', false),
  /** Measure how long the source's clients wait also where nothing limits that: takes a thread. */
  measureLatency: programFlag('measureLatency', "measure the source's latency", false),
  /** No progress. */
  quiet: flag({ flag: '--quiet', help: 'show no progress' }, false),
} satisfies Rows;

export type WatchingOptions = Values<typeof watchingRows>;

/** What a run keeps in files, and takes from them. */
const bookkeepingRows = {
  /** Write the report there, as JSON. */
  report: text({ flag: '--report <file>', help: 'write the report to a file, as JSON' }),
  /** Write each key that did not move there, one JSON object a line. */
  failedKeys: text({
    flag: '--failed-keys <file>',
    help: 'write each key that did not move to a file, as JSON lines',
  }),
  /** Do just the keys that stand there, in the same form. */
  onlyKeys: text({
    flag: '--only-keys <file>',
    help: 'move just the keys in a file that --failed-keys wrote',
  }),
  /** The journal, which the next start of the same job reads: a file, or true for one in the user's state folder. */
  state: journalFile({
    flag: '--state <file>',
    help: "the journal, by which the same command goes on (default: in the user's state folder)",
  }),
} satisfies Rows;

export type BookkeepingOptions = Values<typeof bookkeepingRows>;

/** What a run is asked to do, in the order of the help. */
export const importRows = {
  ...endpointRows,
  ...accessRows,
  ...jobRows,
  ...followRows,
  ...selectionRows,
  ...transferRows,
  ...patienceRows,
  ...safetyRows,
  ...limitRows,
  ...spreadRows,
  ...queueAccessRows,
  ...watchingRows,
  ...bookkeepingRows,
} satisfies Rows;

/** What only the command line has: which form its output takes. */
export const cliRows = {
  logFormat: choice(
    { flag: '--log-format <format>', help: 'what the log on standard error is written as' },
    ['text', 'json'],
    'text',
  ),
  logLevel: optionalChoice(
    { flag: '--log-level <level>', help: 'what is logged (default: warn; info with json)' },
    ['debug', 'info', 'warn', 'error'],
  ),
  json: flag({ flag: '--json', help: 'print the report as JSON, and nothing else' }, false),
  askPassword: flag(
    { flag: '--ask-password', help: 'ask for passwords on the terminal, where none was given' },
    false,
  ),
} satisfies Rows;

/** All of them, for whoever puts a run together. */
export type ImportOptions = EndpointOptions &
  AccessOptions &
  JobOptions &
  FollowOptions &
  SelectionOptions &
  TransferOptions &
  PatienceOptions &
  SafetyOptions &
  LimitOptions &
  Values<typeof spreadRows> &
  QueueAccessOptions &
  WatchingOptions &
  BookkeepingOptions;
export type CliOptions = Values<typeof cliRows>;

/** What programs give: all but `to` and a source may be left out, and values may carry units. */
export type GivenOptions = Given<typeof importRows, 'to'>;

/**
 * Fills in the defaults and checks every value.
 * @throws UsageError naming the flag.
 */
export function readOptions(options: Readonly<Record<string, unknown>>): ImportOptions {
  return readRows(importRows, options, cliRows);
}

export function readCliOptions(options: Readonly<Record<string, unknown>>): CliOptions {
  return readRows(cliRows, options, importRows);
}

/** A file, or true for the one that its job has by default. */
function journalFile(words: {
  readonly flag: string;
  readonly help: string;
}): Row<string | boolean, string | boolean> {
  const file = text(words);
  return {
    ...words,
    fallback: () => false,
    read(value) {
      return typeof value === 'boolean' ? value : (file.read(value) ?? false);
    },
  };
}
