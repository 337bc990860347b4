/** What is found out about a source before the start: a database of a server, or a dump. */
import { PreflightError, RefusedError } from '../errors.js';
import { fenceFor } from '../follow/fence.js';
import type { FollowOptions, ImportOptions, JobOptions } from '../options/options.js';
import type { PayloadRewrite } from '../movers/relay/payload-rewrite.js';
import type { Control } from '../redis/control.js';
import { addressOf, type Endpoint, printable } from '../redis/endpoint.js';
import {
  databasesIn,
  expiringOfDatabase,
  keysOfAll,
  type Features,
  nameOf,
  readServerFacts,
  type ServerFacts,
  masterOf,
} from '../redis/server.js';
import { bytesOfKeys } from '../redis/memory.js';
import { refusalIn, tryOut, type TrialWords, trialWords } from '../redis/source-health.js';
import type { Origin } from './origins.js';
import type { DumpInput } from '../sources/dump/input.js';
import { checkFenceRights, checkSourceRights, type RightsOptions } from './rights.js';
import { type Giants, giantsIn } from '../redis/sizes.js';
import { trialNameLike } from '../sources/glob.js';

export type SourceFacts = ServerSourceFacts | DumpFacts;

interface AnySourceFacts {
  /** `host:port/db`, or the path of a file, as the report names it. */
  readonly name: string;
  /** What it was given as, the same at each start of the job; undefined: none goes on with it. */
  readonly job: string | undefined;
  /** Of which database its keys are. */
  readonly db: number;
  /** How many keys there are; 0 of a dump, which is not read for that. */
  readonly keys: number;
  /** It holds no key at all. */
  readonly isEmpty: boolean;
  /** What these keys take in memory, about; of a file, what they take at least; undefined: nobody knows. */
  readonly bytes: number | undefined;
  /** Its keys are those of a file: there is nobody who could miss them here. */
  readonly isFile: boolean;
}

/** A dump that is read as it is: there is no server. */
export interface DumpFacts extends AnySourceFacts {
  readonly kind: 'dump';
  readonly input: DumpInput;
  /** The path of what is read; `-`: standard input. */
  readonly file: string;
  /** Of the databases in it, those that are wanted. */
  readonly databases: readonly number[] | 'all';
  /** Reports what should be known, also in the report. */
  readonly warn: (sentence: string) => void;
}

/** One database of one server. */
export interface ServerSourceFacts extends AnySourceFacts, ServerFacts {
  readonly kind: 'server';
  readonly endpoint: Endpoint;
  /** The file that the server was started for; undefined: it is a server of its own. */
  readonly file: string | undefined;
  /** It is a master of a cluster: one command takes keys of one slot only. */
  readonly inCluster: boolean;
  /** The server's databases that hold keys, by number. */
  readonly filled: readonly number[];
  /** Keys of the database that have a TTL. */
  readonly expiringKeys: number;
  /** Values that would make its clients wait, where it tells of them, and they may travel in slices. */
  readonly giants: Giants | undefined;
  /** Values may travel element by element: both sides let us. */
  readonly maySlice: boolean;
  /** Whether its MIGRATE speaks TLS (tls-cluster, since 6.0); it may not be allowed to tell. */
  readonly migratesOverTls: boolean;
  /** Which node refuses its payloads, and how; undefined: none that is known. */
  readonly payloadRefusal: string | undefined;
  /** How these payloads must be changed, so that the nodes take them; undefined: that can't be done. */
  readonly payloadRewrite: PayloadRewrite | undefined;
  /** Left open for the run; whoever asked for the checks closes it. */
  readonly control: Control;
}

/** What is known of a server before both sides are known together. */
export type FoundServer = Omit<ServerSourceFacts, 'payloadRefusal' | 'payloadRewrite' | 'maySlice'>;

export function isServer(source: SourceFacts): source is ServerSourceFacts {
  return source.kind === 'server';
}

/** Which server, or file, a source is of: an address may be one of several. */
export function serverIdOf(source: SourceFacts): string {
  if (!isServer(source)) return source.name;
  const { runId, endpoint } = source;
  return runId === '' ? addressOf(endpoint) : runId;
}

/** How many keys all of them have. */
export function keyCountOf(sources: readonly SourceFacts[]): number {
  return sources.reduce((sum, { keys }) => sum + keys, 0);
}

/** Those of one server are together: its databases, which share its write counter. */
export function byServer<T>(all: readonly T[], sourceOf: (one: T) => SourceFacts): T[][] {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const server = serverIdOf(sourceOf(one));
    groups.set(server, [...(groups.get(server) ?? []), one]);
  }
  return [...groups.values()];
}

/** Whether some of the keys may have a TTL. */
export function mayExpire(source: SourceFacts): boolean {
  return !isServer(source) || source.expiringKeys > 0;
}

/** What the checks of a source go by on the other side. */
export interface Seed {
  readonly address: string;
  readonly runId: string;
  readonly nodeIds: ReadonlySet<string>;
}

/** All but what only both sides together tell. */
export async function readSource(
  control: Control,
  { endpoint, inCluster, file, job }: Origin,
): Promise<FoundServer> {
  const facts = await readServerFacts(control);
  const keyspace = await control.info('keyspace');
  const keys = Number(await control.call('DBSIZE'));
  return {
    ...facts,
    kind: 'server',
    endpoint,
    db: endpoint.db,
    name: file === undefined ? printable(endpoint) : databaseIn(file, endpoint.db),
    job,
    file,
    isFile: file !== undefined,
    inCluster,
    filled: databasesIn(keyspace),
    keys,
    isEmpty: keys === 0,
    bytes:
      (bytesOfKeys(await control.info('memory')) * keys) / Math.max(1, keys, keysOfAll(keyspace)),
    expiringKeys: expiringOfDatabase(keyspace, endpoint.db) ?? 1,
    giants: await readGiants(control, endpoint.db),
    migratesOverTls: await readTlsCluster(control),
    control,
  };
}

/** How a database of a file is named. */
export function databaseIn(file: string, db: number): string {
  return db === 0 ? file : `${file}/${String(db)}`;
}

async function readGiants(control: Control, db: number): Promise<Giants | undefined> {
  const text = await control.call('INFO', 'keysizes').catch(() => undefined);
  return typeof text === 'string' ? giantsIn(text, db) : undefined;
}

async function readTlsCluster(control: Control): Promise<boolean> {
  const reply = await control.call('CONFIG', 'GET', 'tls-cluster').catch(() => undefined);
  return Array.isArray(reply) && reply[1] === 'yes';
}

/**
 * That keys can be taken from it, and that it is not what they are brought to.
 * @returns it, less the commands that we may not use.
 * @throws PreflightError
 */
export async function checkSource(
  source: FoundServer,
  seed: Seed,
  options: RightsOptions & Pick<FollowOptions, 'fence'>,
): Promise<FoundServer> {
  const { address } = source.control;
  if (source.runId !== '' && source.runId === seed.runId) {
    throw new PreflightError(
      `${address} and ${seed.address} are the same server: --from and --to must differ.`,
    );
  }
  if (source.clusterEnabled) await checkForeign(source, seed);
  if (!source.has.scan) {
    throw new PreflightError(
      `${address} has no command SCAN (${nameOf(source)}): it must be 2.8 or newer, and must not rename SCAN.`,
    );
  }
  if (source.readOnly && !options.copy) {
    throw new PreflightError(
      `${address} is a read-only replica, from which nothing can be moved: give its master in --from, or pass --copy.`,
    );
  }
  const has = await checkSourceRights(source.endpoint, source.has, options);
  if (options.follow) {
    const fence = fenceFor(options.fence, source.versionNumber);
    await checkFenceRights(await whereWritesAreHeld(source, options), fence, options);
  }
  await checkState(source.control, has, options);
  return { ...source, has };
}

/** A replica is read in its master's place, to which the clients write. @throws PreflightError */
async function whereWritesAreHeld(
  { endpoint, role, version, versionNumber }: FoundServer,
  { timeoutMs }: Pick<ImportOptions, 'timeoutMs'>,
): Promise<Endpoint> {
  if (role !== 'slave') return endpoint;
  // Up to 3.2 a replica counts its own changes, by offsets that mean nothing to its master.
  if (versionNumber >= 40_000) return masterOf(endpoint, timeoutMs);
  throw new PreflightError(
    `${printable(endpoint)} is a replica, and Redis ${version} does not pass its master's offsets on: give the master in --from to follow it.`,
  );
}

/** That it takes what the run needs now: by a command that changes nothing. @throws RefusedError */
async function checkState(
  control: Control,
  has: Features,
  options: TrialOptions & Pick<ImportOptions, 'match'>,
): Promise<void> {
  const name = (): string => trialNameLike(options.match);
  await tryOut(trialOf(has, options), name, async ([name, ...args]) => {
    try {
      await control.call(name, ...args);
      return undefined;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (refusalIn(error.reply) !== undefined) throw error;
      return error.reply;
    }
  });
}

type TrialOptions = Pick<ImportOptions, 'copy' | 'mover'>;

/** The command by which to see whether a source takes what this run needs. */
export function trialOf(has: Features, { copy, mover }: TrialOptions): TrialWords {
  if (!copy) return trialWords(has.unlink ? 'UNLINK' : 'DEL');
  return trialWords(mover === 'migrate' ? 'MIGRATE' : 'EXISTS');
}

async function checkForeign(
  { control, inCluster }: Pick<ServerSourceFacts, 'control' | 'inCluster'>,
  seed: Seed,
): Promise<void> {
  const { address } = control;
  const id = String(await control.call('CLUSTER', 'MYID'));
  if (seed.nodeIds.has(id)) {
    throw new PreflightError(
      inCluster
        ? `${address} is a node of the target cluster: --from-cluster and --to must be two clusters.`
        : `${address} is itself a node of the target cluster: --from must be a server outside of it.`,
    );
  }
  if (inCluster) return;
  throw new PreflightError(
    `${address} is a node of a cluster: name it in --from-cluster to take the keys of all its masters.`,
  );
}

/** What should be known of sources that let keys be deleted, but get theirs from another server. */
export function followers(
  sources: readonly Pick<ServerSourceFacts, 'name' | 'role' | 'readOnly' | 'isFile'>[],
  { copy }: Pick<JobOptions, 'copy'>,
): readonly string[] {
  if (copy) return [];
  return sources
    .filter(({ role, readOnly, isFile }) => role === 'slave' && !readOnly && !isFile)
    .map(
      ({ name }) =>
        `${name} is a replica that takes writes: its master keeps all that is moved, and what is written there may come back here; give the master in --from to move its keys.`,
    );
}
