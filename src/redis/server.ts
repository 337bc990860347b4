/**
 * What a server is and can do, found out once, before the start.
 *
 * Whether a command exists is asked of the server (it may be renamed or forbidden); which
 * arguments a command takes follows only from its version.
 */
import type { Product } from '../types.js';
import { type Control, type ControlReply, withControl } from './control.js';
import { ConnectionError } from '../errors.js';
import { addressOf, type Endpoint } from './endpoint.js';

/** Commands that not every server has, or that people rename; each with its first version. */
const commands = {
  scan: 20800,
  migrate: 20600,
  eval: 20600,
  wait: 30000,
  unlink: 40000,
  memory: 40000,
  pexpiretime: 70000,
  waitaof: 70200,
  /** Deadlines of a hash's fields. */
  hpexpiretime: 70400,
} as const;

/** What commands can do from some version on. */
const abilities = {
  /** MIGRATE … COPY and REPLACE; before, it only moves, and never overwrites. */
  migrateCopy: (version) => version >= 30000,
  migrateKeys: isMigrateKeysSafe,
  migrateAuth: (version) => version >= 40007,
  migrateAuth2: (version) => version >= 60000,
  restoreReplace: (version) => version >= 30000,
  /** RESTORE … ABSTTL, IDLETIME, FREQ. */
  restoreAbsttl: (version) => version >= 50000,
  /** SET … PXAT: a string with its deadline. */
  setPxat: (version) => version >= 60200,
  /** XGROUP CREATECONSUMER. */
  createConsumer: (version) => version >= 60200,
  /** XSETID … ENTRIESADDED, XGROUP CREATE … ENTRIESREAD. */
  streamCounts: (version) => version >= 70000,
  clusterShards: (version) => version >= 70000,
} as const satisfies Record<string, (version: number) => boolean>;

export type Features = Readonly<Record<keyof typeof commands | keyof typeof abilities, boolean>>;

export interface ServerFacts {
  readonly product: Product;
  /** `7.0.15`, as the server says; of Valkey its own. */
  readonly version: string;
  /** 70015 for 7.0.15; 0 when the version can't be read. Of Valkey, that of the Redis that it stands for: 7.2.4. */
  readonly versionNumber: number;
  /** The newest RDB version that it reads. */
  readonly rdbVersion: number;
  /** standalone, sentinel or cluster. */
  readonly mode: string;
  readonly role: 'master' | 'slave';
  readonly clusterEnabled: boolean;
  /** Another one after each restart. */
  readonly runId: string;
  /** A replica that refuses writes. */
  readonly readOnly: boolean;
  /** How many replicas have all of its data and follow its writes. */
  readonly replicasInSync: number;
  readonly has: Features;
  /** The server's clock minus ours; 0 where it may not be asked for the time. */
  readonly clockSkewMs: number;
}

export async function readServerFacts(control: Control): Promise<ServerFacts> {
  const info = await control.info();
  const redisVersion = info.get('redis_version') ?? '';
  const valkeyVersion = info.get('valkey_version');
  const versionNumber = parseVersion(redisVersion);
  return {
    product: valkeyVersion === undefined ? 'Redis' : 'Valkey',
    version: valkeyVersion ?? redisVersion,
    versionNumber,
    rdbVersion: rdbVersionOf(versionNumber, parseVersion(valkeyVersion ?? '')),
    mode: info.get('redis_mode') ?? 'standalone',
    role: info.get('role') === 'slave' ? 'slave' : 'master',
    clusterEnabled: info.get('cluster_enabled') === '1',
    runId: info.get('run_id') ?? '',
    readOnly: info.get('role') === 'slave' && info.get('slave_read_only') !== '0',
    replicasInSync: [...info].filter(
      ([name, value]) => /^slave\d+$/.test(name) && value.includes('state=online'),
    ).length,
    has: await readFeatures(control, versionNumber),
    clockSkewMs: await readClockSkew(control),
  };
}

/** The RDB version of servers from a version on (rdb.h). */
const rdbVersions: readonly (readonly [since: number, rdb: number])[] = [
  [70400, 12],
  [70200, 11],
  [70000, 10],
  [50000, 9],
  [40000, 8],
  [30200, 7],
];
const rdbVersionsOfValkey: typeof rdbVersions = [
  [90200, 81],
  [90000, 80],
];
const oldestRdbVersion = 6;

/** @param valkeyNumber 0 of a server that is none. */
function rdbVersionOf(versionNumber: number, valkeyNumber: number): number {
  const known =
    rdbVersionsOfValkey.find(([since]) => valkeyNumber >= since) ??
    rdbVersions.find(([since]) => versionNumber >= since);
  return known?.[1] ?? oldestRdbVersion;
}

/** What a server is called: `Valkey 9.1.2`. */
export function nameOf({ product, version }: Pick<ServerFacts, 'product' | 'version'>): string {
  return `${product} ${version}`;
}

/** `7.0.15` → 70015. */
export function parseVersion(version: string): number {
  const [, major, minor, patch] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  return Number(major ?? 0) * 10_000 + Number(minor ?? 0) * 100 + Number(patch ?? 0);
}

/**
 * Whether MIGRATE … KEYS exists and does what it says: 3.0.6 brought it, but it lends keys the TTL
 * of their neighbours before 3.2.7, may crash up to 3.2.7, and from 5.0.0 to 6.2.2 may store a
 * value under another key's name when keys expire within the batch.
 */
export function isMigrateKeysSafe(version: number): boolean {
  return (version >= 30208 && version < 50000) || version >= 60203;
}

async function readFeatures(control: Control, version: number): Promise<Features> {
  const names = Object.keys(commands);
  const known = await orUndefined(control.call('COMMAND', 'INFO', ...names));
  const rows = Array.isArray(known) ? known : [];
  return Object.fromEntries([
    ...Object.entries(commands).map(([name, since], index) => {
      // A command that the server does not have is a null in its row, or an empty row.
      const row = rows[index];
      return [name, row === undefined ? version >= since : Array.isArray(row) && row.length > 0];
    }),
    ...Object.entries(abilities).map(([name, isThere]) => [name, isThere(version)]),
  ]) as Features;
}

/** The reading with the shortest round trip of three: its middle is nearest to the server's. */
async function readClockSkew(control: Control): Promise<number> {
  let best = { tripMs: Infinity, skewMs: 0 };
  for (let round = 0; round < 3; round++) {
    const sentAt = performance.now();
    // The clock is cut to whole milliseconds: on average it shows half of one too little.
    const startMs = Date.now() + 0.5;
    const reply = await orUndefined(control.call('TIME'));
    const tripMs = performance.now() - sentAt;
    if (!Array.isArray(reply)) return 0;
    const theirsMs = Number(reply[0]) * 1000 + Number(reply[1]) / 1000;
    const skewMs = Math.round(theirsMs - (startMs + tripMs / 2));
    if (tripMs < best.tripMs) best = { tripMs, skewMs };
  }
  return best.skewMs;
}

/** For questions whose refusal is an answer too. */
function orUndefined(reply: Promise<ControlReply>): Promise<ControlReply | undefined> {
  return reply.catch(() => undefined);
}

/* How many keys the databases of a server hold, as INFO keyspace tells: those that hold none are not in it. */

type Keyspace = Awaited<ReturnType<Control['info']>>;

/** Keys of one database. */
export function keysOfDatabase(keyspace: Keyspace, db: number): number {
  return Number(/keys=(\d+)/.exec(keyspace.get(`db${String(db)}`) ?? '')?.[1] ?? 0);
}

/** How many of them have a TTL; undefined: it does not tell. */
export function expiringOfDatabase(keyspace: Keyspace, db: number): number | undefined {
  const database = keyspace.get(`db${String(db)}`);
  if (database === undefined) return 0;
  const [, expiring] = /expires=(\d+)/.exec(database) ?? [];
  return expiring === undefined ? undefined : Number(expiring);
}

/** The databases that hold keys, in ascending order. */
export function databasesIn(keyspace: Keyspace): readonly number[] {
  const numbers = [...keyspace.keys()].flatMap((name) => {
    const [, digits] = /^db(\d+)$/.exec(name) ?? [];
    return digits === undefined ? [] : [Number(digits)];
  });
  return numbers.sort((one, other) => one - other);
}

/** Keys of all databases. */
export function keysOfAll(keyspace: Keyspace): number {
  return databasesIn(keyspace).reduce((sum, db) => sum + keysOfDatabase(keyspace, db), 0);
}

/* Which server writes for a replica. */

/** A chain of replicas that is longer than that goes round in a circle. */
const longestChain = 8;

/**
 * The master that this server gets its data from, or the server itself. The same user logs in to both.
 * @throws ConnectionError when one of them can't be reached.
 */
export async function masterOf(endpoint: Endpoint, timeoutMs: number): Promise<Endpoint> {
  let asked = endpoint;
  for (let length = 0; length < longestChain; length++) {
    const info = await withControl(asked, { side: 'from', timeoutMs }, (control) =>
      control.info('replication'),
    );
    const host = info.get('master_host');
    if (info.get('role') !== 'slave' || host === undefined) return asked;
    asked = { ...asked, host, port: Number(info.get('master_port')) };
  }
  throw new ConnectionError(`${addressOf(endpoint)} is a replica of itself.`);
}
