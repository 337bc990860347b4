/**
 * Where the keys are to come from: every database of every server that the flags name.
 *
 * The databases of one server are different sources, each with its own connections, because a
 * connection is in one database at a time.
 */
import { UsageError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import { type Control, openControl } from '../redis/control.js';
import { type Endpoint, printable } from '../redis/endpoint.js';
import { parseNat } from '../redis/nat.js';
import { locate } from '../redis/sentinel.js';
import { openTopology } from '../redis/topology.js';
import { isDump } from './dump-names.js';
import { insecurity, readEndpoint } from './endpoints.js';

/** One database of one server. */
export interface Origin {
  readonly endpoint: Endpoint;
  /** The server is a master of the cluster that `--from-cluster` names. */
  readonly inCluster: boolean;
  /** The file that the server was started for; undefined: it is a server of its own. */
  readonly file?: string;
}

/** What the files among the sources have come to. */
export interface Files {
  /** Servers that were started for them. */
  readonly servers: readonly Origin[];
  /** How many are read as they are. */
  readonly dumps: number;
}

/** How many databases there are the server says; a number may be this long. */
const database = /^\d{1,9}$/;

/**
 * @param warn tells what is allowed, but should be known.
 * @throws UsageError when the flags are malformed or contradict each other, ConnectionError or
 *   RefusedError when a server can't be asked.
 */
export async function readOrigins(
  options: ImportOptions,
  warn: (sentence: string) => void,
  files: Files,
): Promise<readonly Origin[]> {
  const servers = [
    ...files.servers,
    ...(await namedServers(options, warn)),
    ...(await mastersOf(options, warn)),
  ];
  if (servers.length === 0 && files.dumps > 0) return [];
  if (servers.length === 0) {
    throw new UsageError(
      '--from is missing: say --from <endpoint> (the running source), or --from-cluster <endpoint>.',
    );
  }
  const wanted = readDatabases(options.db);
  const origins: Origin[] = [];
  for (const server of servers) {
    for (const db of await databasesOf(server, wanted, options.timeoutMs)) {
      origins.push({ ...server, endpoint: { ...server.endpoint, db } });
    }
  }
  const names = origins.map(({ endpoint }) => printable(endpoint));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new UsageError(`${twice} is named twice: name each source once.`);
  return origins;
}

async function namedServers(
  options: ImportOptions,
  warn: (sentence: string) => void,
): Promise<Origin[]> {
  const servers: Origin[] = [];
  for (const text of options.from) {
    if (isDump(text)) continue;
    const given = await readEndpoint(text, 'from', options);
    tellRisk(given, warn);
    servers.push({ endpoint: await locate(given, options.timeoutMs), inCluster: false });
  }
  return servers;
}

async function mastersOf(
  options: ImportOptions,
  warn: (sentence: string) => void,
): Promise<Origin[]> {
  const { fromCluster, timeoutMs } = options;
  if (fromCluster === undefined) return [];
  const endpoint = await readEndpoint(fromCluster, 'from', options, '--from-cluster');
  tellRisk(endpoint, warn);
  if (endpoint.db !== 0) {
    throw new UsageError('A cluster has only database 0: take the database out of --from-cluster.');
  }
  const seed = await openControl(endpoint, { side: 'from', timeoutMs });
  try {
    const topology = await openTopology(seed, { timeoutMs, nat: options.nat.map(parseNat) });
    return topology.masters.map((node) => ({
      endpoint: topology.endpointOf(node),
      inCluster: true,
    }));
  } finally {
    seed.close();
  }
}

function tellRisk(endpoint: Endpoint, warn: (sentence: string) => void): void {
  const risk = insecurity(endpoint, 'from');
  if (risk !== undefined) warn(risk);
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

async function databasesOf(
  { endpoint, inCluster }: Origin,
  wanted: readonly number[] | 'all' | undefined,
  timeoutMs: number,
): Promise<readonly number[]> {
  if (wanted === undefined) return [endpoint.db];
  if (endpoint.db !== 0) {
    throw new UsageError(
      `--db and the database in --from ${printable(endpoint)} contradict each other: say it once.`,
    );
  }
  if (inCluster) {
    if (wanted === 'all' || wanted.every((db) => db === 0)) return [0];
    throw new UsageError('A cluster has only database 0: leave --db out with --from-cluster.');
  }
  if (wanted !== 'all') return wanted;
  const control = await openControl(endpoint, { side: 'from', timeoutMs });
  try {
    return await usedDatabases(control);
  } finally {
    control.close();
  }
}

/** The databases that hold keys; the first one if none does, so that there is something to name. */
async function usedDatabases(control: Control): Promise<readonly number[]> {
  const keyspace = await control.info('keyspace');
  const used = [...keyspace.keys()].flatMap((name) => {
    const [, digits] = /^db(\d+)$/.exec(name) ?? [];
    return digits === undefined ? [] : [Number(digits)];
  });
  return used.length === 0 ? [0] : used.sort((one, other) => one - other);
}
