/**
 * Where the keys are to come from: every database of every server that the flags name.
 *
 * The databases of one server are different sources, each with its own connections, because a
 * connection is in one database at a time. Which of them are wanted, which hold keys, and which
 * would be forgotten, is told here too.
 */
import type { AccessOptions } from '../options/access.js';
import { UsageError } from '../errors.js';
import type { ImportOptions } from '../options/options.js';
import { type Control, locate, withControl } from '../redis/control.js';
import { addressOf, type Endpoint, parseNat, printable } from '../redis/endpoint.js';
import { databasesIn } from '../redis/server.js';
import { openTopology } from '../redis/topology.js';
import { insecurity, isDump, namesFile, readEndpoint } from './endpoints.js';

/** One database of one server. */
export interface Origin {
  readonly endpoint: Endpoint;
  /** The server is a master of the cluster that `--from-cluster` names. */
  readonly inCluster: boolean;
  /** The file that the server was started for; undefined: it is a server of its own. */
  readonly file?: string;
  /** What stood in `--from`; undefined: it was found otherwise. */
  readonly given?: string;
  /**
   * What it was given as, without secrets: that stays the same from one start to the next, while the
   * databases that hold keys, or the server that is the master, may not.
   */
  readonly job: string;
}

/** A server whose databases are still to be told apart. */
export type NamedServer = Omit<Origin, 'job'> & { readonly job?: string };

/** The flags that name sources. */
export type OriginOptions = AccessOptions &
  Pick<ImportOptions, 'from' | 'fromCluster' | 'db' | 'timeoutMs'>;

/** What the files among the sources have come to. */
export interface Files {
  /** Servers that were started for them. */
  readonly servers: readonly NamedServer[];
  /** How many are read as they are. */
  readonly dumps: number;
}

/**
 * @param warn tells what is allowed, but should be known.
 * @throws UsageError when the flags are malformed or contradict each other, ConnectionError or
 *   RefusedError when a server can't be asked.
 */
export async function readOrigins(
  options: OriginOptions,
  warn: (sentence: string) => void,
  files: Files,
): Promise<readonly Origin[]> {
  const servers: readonly NamedServer[] = [
    ...files.servers,
    ...(await namedServers(options, warn)),
    ...(await mastersOf(options, warn)),
  ];
  if (servers.length === 0 && files.dumps > 0) return [];
  if (servers.length === 0) {
    throw new UsageError(
      '--from is missing: pass --from <endpoint> (the running source), or --from-cluster <endpoint>.',
    );
  }
  const wanted = readDatabases(options.db);
  const origins: Origin[] = [];
  for (const server of servers) {
    for (const db of await databasesOf(server, wanted, options.timeoutMs)) {
      const endpoint = { ...server.endpoint, db };
      origins.push({ ...server, endpoint, job: server.job ?? jobOf(server, endpoint, wanted) });
    }
  }
  const names = origins.map(({ endpoint }) => printable(endpoint));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new UsageError(`${twice} is named twice: name each source once.`);
  return origins;
}

function jobOf(
  { file }: NamedServer,
  endpoint: Endpoint,
  wanted: ReturnType<typeof readDatabases>,
): string {
  const { sentinels } = endpoint;
  const place = sentinels
    ? `${sentinels.name}@${sentinels.endpoints.map(addressOf).join(',')}`
    : (file ?? addressOf(endpoint));
  return `${place}/${wanted === 'all' ? wanted : String(endpoint.db)}`;
}

async function namedServers(
  options: OriginOptions,
  warn: (sentence: string) => void,
): Promise<NamedServer[]> {
  const servers: NamedServer[] = [];
  for (const text of options.from) {
    if (isDump(text)) continue;
    if (namesFile(text)) {
      throw new UsageError(
        `--from ${text}: there is no such file; a server is written with its port, as in ${text}:6379.`,
      );
    }
    const given = await readEndpoint(text, 'from', options);
    tellRisk(given, warn);
    servers.push({
      ...{ endpoint: await locate(given, options.timeoutMs), inCluster: false, given: text },
    });
  }
  return servers;
}

async function mastersOf(
  options: OriginOptions,
  warn: (sentence: string) => void,
): Promise<NamedServer[]> {
  const { fromCluster, timeoutMs } = options;
  if (fromCluster === undefined) return [];
  const endpoint = await readEndpoint(fromCluster, 'from', options, '--from-cluster');
  tellRisk(endpoint, warn);
  if (endpoint.db !== 0) {
    throw new UsageError('A cluster has only database 0: take the database out of --from-cluster.');
  }
  return withControl(endpoint, { side: 'from', timeoutMs }, async (seed) => {
    const nat = options.nat.map(parseNat);
    const topology = await openTopology(seed, { timeoutMs, nat, flag: '--from-cluster' });
    return topology.masters.map((node) => ({
      endpoint: topology.endpointOf(node),
      inCluster: true,
      job: `the cluster of ${addressOf(endpoint)}`,
    }));
  });
}

function tellRisk(endpoint: Endpoint, warn: (sentence: string) => void): void {
  const risk = insecurity(endpoint, 'from');
  if (risk !== undefined) warn(risk);
}

async function databasesOf(
  { endpoint, inCluster }: NamedServer,
  wanted: readonly number[] | 'all' | undefined,
  timeoutMs: number,
): Promise<readonly number[]> {
  if (wanted === undefined) return [endpoint.db];
  if (endpoint.db !== 0) {
    throw new UsageError(
      `--db and the database in --from ${printable(endpoint)} contradict each other: give it once.`,
    );
  }
  if (inCluster) {
    if (wanted === 'all' || wanted.every((db) => db === 0)) return [0];
    throw new UsageError('A cluster has only database 0: leave --db out with --from-cluster.');
  }
  if (wanted !== 'all') return wanted;
  return withControl(endpoint, { side: 'from', timeoutMs }, usedDatabases);
}

/** The databases that hold keys; the first one if none does, so that there is something to name. */
async function usedDatabases(control: Control): Promise<readonly number[]> {
  const used = databasesIn(await control.info('keyspace'));
  return used.length === 0 ? [0] : used;
}

/** How many databases there are the server says; a number may be this long. */
const database = /^\d{1,9}$/;

/** A database that is taken along. */
interface Taken {
  readonly control: Pick<Control, 'address'>;
  readonly endpoint: Pick<Endpoint, 'db'>;
  /** The databases of its server that hold keys. */
  readonly filled: readonly number[];
}

/** @returns undefined when nothing was said. */
export function readDatabases(given: readonly string[]): readonly number[] | 'all' | undefined {
  const words = given.flatMap((text) => text.split(',')).map((word) => word.trim());
  if (words.length === 0) return undefined;
  if (words.includes('all') && words.length === 1) return 'all';
  if (!words.every((word) => database.test(word))) {
    throw new UsageError('--db must be numbers with commas between them, as in 0,3, or all.');
  }
  return [...new Set(words.map(Number))];
}

/**
 * What is not taken along, in a sentence; undefined: nothing. Whoever then shuts the source down
 * would lose it.
 */
export function leftOut(sources: readonly Taken[]): string[] {
  const taken = new Map<string, { all: readonly number[]; wanted: Set<number> }>();
  for (const { control, filled, endpoint } of sources) {
    const known = taken.get(control.address) ?? { all: filled, wanted: new Set() };
    taken.set(control.address, known);
    known.wanted.add(endpoint.db);
  }
  return [...taken].flatMap(([address, { all, wanted }]) => {
    const others = all.filter((db) => !wanted.has(db));
    if (others.length === 0) return [];
    const which =
      others.length === 1 ? `database ${String(others[0])}` : `databases ${others.join(', ')}`;
    return [
      `${address} has keys in ${which} too, which stay there: pass --db all to take them along.`,
    ];
  });
}
