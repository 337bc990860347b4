/**
 * The checks before the start: whatever can be found out while nothing has moved is found out
 * here, and refused in one sentence. The order is that in which people would look.
 */
import { ConnectionError, ImportError, PreflightError, UsageError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import { type Control, openControl } from '../redis/control.js';
import { type Endpoint, printable } from '../redis/endpoint.js';
import { parseNat } from '../redis/nat.js';
import { locate } from '../redis/sentinel.js';
import { readServerFacts, type ServerFacts } from '../redis/server.js';
import { type ClusterTopology, openTopology } from '../redis/topology.js';
import type { Node } from '../types.js';
import { insecurity, readEndpoint } from './endpoints.js';
import { payloadRefusal } from './payloads.js';
import { lackingModules, modulesOf } from './modules.js';
import { checkNodeRights, checkSourceRights } from './rights.js';

export interface SourceFacts extends ServerFacts {
  readonly endpoint: Endpoint;
  /** `host:port/db`, as the report names it. */
  readonly name: string;
  /** Keys in the database. */
  readonly keys: number;
  /** Those of them that have a TTL. */
  readonly expiringKeys: number;
  /** Whether its MIGRATE speaks TLS (tls-cluster, since 6.0); it may not be allowed to tell. */
  readonly migratesOverTls: boolean;
  /** Left open for the run; whoever asked for the checks closes it. */
  readonly control: Control;
}

export interface MasterFacts extends ServerFacts {
  readonly node: Node;
  readonly keys: number;
  /** Whether a source may log in as we do for its MIGRATE. */
  readonly takesMigrate: boolean;
  readonly modules: ReadonlySet<string>;
}

/** What was found out, all of it checked. */
export interface Facts {
  readonly source: SourceFacts;
  readonly target: {
    /** `host:port` of the seed. */
    readonly name: string;
    readonly topology: ClusterTopology;
    readonly masters: readonly MasterFacts[];
    /** The ids of its nodes, by which it is known again. */
    readonly nodeIds: ReadonlySet<string>;
    /** It held no keys. */
    readonly startedEmpty: boolean;
    /** Which node refuses the source's payloads, and how; undefined: none that is known. */
    readonly payloadRefusal: string | undefined;
  };
}

/** What the import needs. */
export interface Ready extends Facts {
  /** Whether keys that the cluster has already are overwritten. */
  readonly replace: boolean;
}

/**
 * @param warn tells what is allowed, but should be known.
 * @throws UsageError when an endpoint is malformed, PreflightError when a check fails.
 */
export async function preflight(
  options: ImportOptions,
  warn: (sentence: string) => void,
): Promise<Facts> {
  const { timeoutMs } = options;
  const from = await readEndpoint(options.from, 'from', options);
  const to = await readEndpoint(options.to, 'to', options);
  for (const risk of [insecurity(from, 'from'), insecurity(to, 'to')]) {
    if (risk !== undefined) warn(risk);
  }
  if (to.db !== 0) {
    throw new UsageError('A cluster has only database 0: take the database out of --to.');
  }
  const open: Control[] = [];
  try {
    const located = await locate(from, timeoutMs);
    const control = await openControl(located, { side: 'from', timeoutMs });
    open.push(control);
    const source = await readSource(control, located);
    const seed = await openControl(to, { side: 'to', timeoutMs });
    open.push(seed);
    await checkPair(source, seed, options);
    const topology = await openTopology(seed, { timeoutMs, nat: options.nat.map(parseNat) });
    const masters = await Promise.all(
      topology.masters.map((node) => readMaster(node, topology, options)),
    );
    const has = await checkSourceRights(located, source.has, options);
    const mayMigrate = has.migrate && masters.every((master) => master.takesMigrate);
    const lacking = lackingModules(
      await modulesOf(control),
      masters.map(({ node, modules }) => ({ address: node.address, modules })),
    );
    if (lacking !== undefined) warn(lacking);
    const nodeIds = await readNodeIds(seed, masters);
    seed.close();
    const startedEmpty = masters.every(({ keys }) => keys === 0);
    const refusal = options.byElements
      ? 'as asked for'
      : await payloadRefusal(source, masters, topology, timeoutMs);
    return {
      source: { ...source, has: { ...has, migrate: mayMigrate } },
      target: {
        name: seed.address,
        topology,
        masters,
        nodeIds,
        startedEmpty,
        payloadRefusal: refusal,
      },
    };
  } catch (error) {
    for (const control of open) control.close();
    throw asPreflightError(error);
  }
}

async function readSource(control: Control, endpoint: Endpoint): Promise<SourceFacts> {
  const facts = await readServerFacts(control);
  const keyspace = await control.info('keyspace');
  const database = keyspace.get(`db${String(endpoint.db)}`) ?? '';
  return {
    ...facts,
    endpoint,
    name: printable(endpoint),
    keys: Number(await control.call('DBSIZE')),
    expiringKeys: Number(/expires=(\d+)/.exec(database)?.[1] ?? 0),
    migratesOverTls: await readTlsCluster(control),
    control,
  };
}

async function readTlsCluster(control: Control): Promise<boolean> {
  const reply = await control.call('CONFIG', 'GET', 'tls-cluster').catch(() => undefined);
  return Array.isArray(reply) && reply[1] === 'yes';
}

/** That the two are what they must be, and not the same. */
async function checkPair(
  source: SourceFacts,
  seed: Control,
  options: ImportOptions,
): Promise<void> {
  const { address } = source.control;
  const target = await readServerFacts(seed);
  if (source.runId !== '' && source.runId === target.runId) {
    throw new PreflightError(
      `${address} and ${seed.address} are the same server: --from and --to must differ.`,
    );
  }
  if (source.clusterEnabled) {
    const id = String(await source.control.call('CLUSTER', 'MYID'));
    const isNode = target.clusterEnabled && (await readNodeIds(seed, [])).has(id);
    throw new PreflightError(
      isNode
        ? `${address} is itself a node of the target cluster: --from must be a server outside of it.`
        : `${address} is a node of a cluster: --from must be a server that is not cluster-enabled.`,
    );
  }
  if (!source.has.scan) {
    throw new PreflightError(
      `${address} has no command SCAN (Redis ${source.version}): it must be 2.8 or newer, and must not rename SCAN.`,
    );
  }
  if (source.readOnly && !options.copy) {
    throw new PreflightError(
      `${address} is a read-only replica, from which nothing can be moved: give its master in --from, or say --copy.`,
    );
  }
}

/** Where they may not be asked for, addresses have to do. */
async function readNodeIds(
  control: Control,
  masters: readonly MasterFacts[],
): Promise<ReadonlySet<string>> {
  const text = await control.call('CLUSTER', 'NODES').catch(() => undefined);
  if (typeof text !== 'string') return new Set(masters.map(({ node }) => node.address));
  return new Set(
    text
      .split('\n')
      .flatMap((line) => line.split(' ', 1))
      .filter(Boolean),
  );
}

async function readMaster(
  node: Node,
  topology: ClusterTopology,
  options: ImportOptions,
): Promise<MasterFacts> {
  const { timeoutMs } = options;
  const endpoint = topology.endpointOf(node);
  try {
    const control = await openControl(endpoint, { side: 'to', timeoutMs });
    try {
      const facts = await readServerFacts(control);
      return {
        ...facts,
        node,
        keys: Number(await control.call('DBSIZE')),
        takesMigrate: await checkNodeRights(endpoint, options),
        modules: await modulesOf(control),
      };
    } finally {
      control.close();
    }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const way =
      error instanceof ConnectionError
        ? ` If it is reached elsewhere from here, say --nat ${node.address}=host:port.`
        : '';
    throw new PreflightError(`The cluster announces a master at ${node.address}. ${words}${way}`, {
      cause: error,
    });
  }
}

/** Nothing has moved yet, whatever it was: the exit code says so. */
function asPreflightError(error: unknown): unknown {
  if (!(error instanceof ImportError) || error.exitCode === 2) return error;
  return new PreflightError(error.message, { cause: error });
}
