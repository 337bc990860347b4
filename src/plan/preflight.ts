/**
 * The checks before the start: whatever can be found out while nothing has moved is found out
 * here, and refused in one sentence. The order is that in which people would look.
 */
import { unlessAborted } from '../async.js';
import { ImportError, StoppedError, PreflightError, UsageError } from '../errors.js';
import type { AccessOptions } from '../options/access.js';
import type { ImportOptions, TransferOptions } from '../options/options.js';
import { type Control, openControl, withControl } from '../redis/control.js';
import { type ClusterTopology, openTopology } from '../redis/topology.js';
import { type Endpoint, parseNat } from '../redis/endpoint.js';
import { readServerFacts } from '../redis/server.js';
import { leftOut, type Origin, readOrigins } from './origins.js';
import { dumpsIn, insecurity, readSeed } from './endpoints.js';
import { openDump, foreignValues } from './dump.js';
import {
  checkFollow,
  checkPrefix,
  checkReplicaCount,
  limitBelowDistance,
  unknownTypes,
} from './options-checks.js';
import { openFiles } from './files.js';
import { type MasterFacts, readMaster, readNodes } from './master-facts.js';
import { lackingModules, modulesOf, readsFile, versionOfDump, tryPayloads } from './payloads.js';
import { checkRoom } from './room.js';
import {
  checkNodeElements,
  checkSourceElements,
  lacksTemporaryKeys,
  type NameOptions,
  type RightsOptions,
} from './rights.js';
import {
  checkSource,
  type DumpFacts,
  followers,
  type FoundServer,
  readSource,
  type ServerSourceFacts,
  type SourceFacts,
} from './source-facts.js';

export interface TargetFacts {
  /** `host:port` of the seed. */
  readonly name: string;
  readonly topology: ClusterTopology;
  readonly masters: readonly MasterFacts[];
  /** The ids of its nodes; undefined where they may not be asked for. */
  readonly nodeIds: ReadonlySet<string> | undefined;
}

/** What was found out, all of it checked. */
export interface Facts {
  /** One at least. */
  readonly sources: readonly SourceFacts[];
  readonly target: TargetFacts;
  /** To be awaited before a run that failed is reported: it is warned of servers of files that are gone. */
  settled(): Promise<void>;
  /** Ends what was opened and started for the sources. */
  close(): void;
}

/** What the import of one source needs. */
export interface SourcePlan<Source extends SourceFacts = ServerSourceFacts> {
  readonly source: Source;
  readonly target: TargetFacts;
  /** Whether keys that the cluster has already are overwritten. */
  readonly replace: boolean;
  /** What the cluster has under this source's keys can only have come from this very run. */
  readonly ownsTarget: boolean;
  /** No other source of the run may have the same keys. */
  readonly isOnlySource: boolean;
}

/** Who waits for the checks, and hears of them. */
export interface Listener {
  /** Tells what is allowed, but should be known. */
  readonly warn: (sentence: string) => void;
  /** Tells how far something is that takes a while. */
  readonly tell: (sentence: string) => void;
  /** Once aborted, nothing is waited for any more. */
  readonly signal: AbortSignal;
}

/**
 * @param origins the databases to take, where they are known already, and the room in the cluster was
 *   looked at for all sources together; undefined: the options name them.
 * @throws UsageError when an endpoint is malformed, PreflightError when a check fails, StoppedError when the signal
 *   comes first: servers may be silent, and what they would have brought is closed when it comes all the same.
 */
export async function preflight(
  options: ImportOptions,
  listener: Listener,
  origins?: readonly Origin[],
): Promise<Facts> {
  return untilStopped(findOut(options, listener, origins), listener.signal);
}

/**
 * Ends the wait for something that knows no signal itself. What it would have brought is closed when it comes all the
 * same.
 * @throws StoppedError when the signal comes first.
 */
export async function untilStopped<T extends { close(): void }>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  try {
    return await unlessAborted(work, signal);
  } catch (error) {
    if (error !== signal.reason) throw error;
    work.then(
      (late) => {
        late.close();
      },
      () => undefined,
    );
    throw new StoppedError('Stopped before the start: nothing was moved.');
  }
}

async function findOut(
  options: ImportOptions,
  { warn, tell, signal }: Listener,
  origins: readonly Origin[] | undefined,
): Promise<Facts> {
  const { timeoutMs } = options;
  checkPrefix(options.keyPrefix);
  checkFollow(options);
  const types = unknownTypes(options.type);
  if (types !== undefined) warn(types);
  const to = await readSeed(options.to, options);
  const open: Control[] = [];
  const opened = (control: Control): Control => {
    open.push(control);
    return control;
  };
  const dumps: DumpFacts[] = [];
  const loading = { timeoutMs, signal, tell, warn };
  const isLoaded = await loadedDumps(to, options).catch((error: unknown) => {
    throw asPreflightError(error);
  });
  const files = await openFiles(options, loading, isLoaded);
  const close = (): void => {
    for (const control of open) control.close();
    for (const { input } of dumps) void input.close();
    files.stop();
  };
  try {
    for (const file of files.read) dumps.push(await openDump(file, options, { warn, signal }));
    const asServers = { servers: files.servers, dumps: files.read.length };
    const found: FoundServer[] = [];
    for (const origin of origins ?? (await readOrigins(options, warn, asServers))) {
      const control = opened(await openControl(origin.endpoint, { side: 'from', timeoutMs }));
      found.push(await readSource(control, origin));
    }
    checkDistinct(found);
    for (const sentence of [...leftOut(found), ...followers(found, options)]) warn(sentence);
    const risk = insecurity(to, 'to');
    if (risk !== undefined) warn(risk);
    const seed = opened(await openControl(to, { side: 'to', timeoutMs }));
    const { runId } = await readServerFacts(seed);
    const nodes = await readNodes(seed);
    const known = nodes && new Set(nodes.map(({ id }) => id));
    const asked = { address: seed.address, runId, nodeIds: known ?? new Set<string>() };
    const checked: FoundServer[] = [];
    for (const source of found) checked.push(await checkSource(source, asked, options));
    const target = await readTarget(seed, known, options);
    for (const dump of dumps) {
      const sentence = await foreignValues(dump, target.masters, signal);
      if (sentence !== undefined) warn(sentence);
    }
    const [first] = target.masters;
    const untouched =
      first && !options.follow
        ? await lacksTemporaryKeys(target.topology.endpointOf(first.node), options)
        : undefined;
    if (untouched !== undefined) warn(untouched);
    const servers: ServerSourceFacts[] = [];
    for (const source of checked) servers.push(await meet(source, target, options, warn));
    const sources: readonly SourceFacts[] = [...dumps, ...servers];
    // Of a job later on, a node that has just taken over may lack them for a while. From files nothing is deleted.
    if (!origins && sources.some(({ isFile }) => !isFile)) checkReplicaCount(nodes ?? [], options);
    if (!origins) await checkRoom(sources, target, options, warn);
    seed.close();
    return { sources, target, settled: () => files.settled(), close };
  } catch (error) {
    close();
    throw asPreflightError(error);
  }
}

/**
 * Which dumps a server has to load: those that are too new for the cluster, where one was named for it.
 * What only the version of their types keeps from going there as it is then goes element by element.
 */
async function loadedDumps(
  to: Endpoint,
  { redisServer, from, timeoutMs }: Pick<ImportOptions, 'redisServer' | 'from' | 'timeoutMs'>,
): Promise<(dump: string) => Promise<boolean>> {
  if (redisServer === undefined || dumpsIn({ from }).length === 0)
    return () => Promise.resolve(false);
  return withControl(to, { side: 'to', timeoutMs }, async (seed) => {
    const facts = await readServerFacts(seed);
    return async (dump) => {
      const version = dump === '-' ? undefined : await versionOfDump(dump);
      return version !== undefined && !readsFile(facts, version);
    };
  });
}

/** A server may be reached by several addresses. */
function checkDistinct(sources: readonly Pick<FoundServer, 'name' | 'runId' | 'endpoint'>[]): void {
  const known = new Map<string, string>();
  for (const { name, runId, endpoint } of sources) {
    if (runId === '') continue;
    const id = `${runId}/${String(endpoint.db)}`;
    const other = known.get(id);
    if (other !== undefined) {
      throw new UsageError(
        `${other} and ${name} are the same database of the same server: name it once.`,
      );
    }
    known.set(id, name);
  }
}

async function readTarget(
  seed: Control,
  known: ReadonlySet<string> | undefined,
  options: RightsOptions & Pick<AccessOptions, 'nat'>,
): Promise<TargetFacts> {
  const { timeoutMs } = options;
  const topology = await openTopology(seed, { timeoutMs, nat: options.nat.map(parseNat) });
  const masters = await Promise.all(
    topology.masters.map((node) => readMaster(node, topology, options)),
  );
  return { name: seed.address, topology, masters, nodeIds: known };
}

/** What the two sides can do with one another. */
async function meet(
  source: FoundServer,
  { masters, topology }: TargetFacts,
  options: TransferOptions &
    NameOptions &
    Pick<ImportOptions, 'dryRun' | 'guard' | 'maxSourceLatencyMs' | 'timeoutMs'>,
  warn: (sentence: string) => void,
): Promise<ServerSourceFacts> {
  const mayMigrate = source.has.migrate && masters.every((master) => master.takesMigrate);
  const lacking = lackingModules(
    await modulesOf(source.control),
    masters.map(({ node, modules }) => ({ address: node.address, modules })),
  );
  if (lacking !== undefined) warn(lacking);
  const { maxSourceLatencyMs } = options;
  const tooFar =
    typeof maxSourceLatencyMs === 'number'
      ? await limitBelowDistance(source.control, maxSourceLatencyMs)
      : undefined;
  if (tooFar !== undefined) warn(tooFar);
  const payloads = options.byElements
    ? { payloadRefusal: 'as asked for', payloadRewrite: undefined }
    : await tryPayloads(
        source.control,
        masters.map(({ node }) => node),
        topology,
        options,
      );
  const refusal = payloads.payloadRefusal;
  const checkElements = async (): Promise<void> => {
    await checkSourceElements(source.endpoint, source.has, options);
    for (const { node } of masters) await checkNodeElements(topology.endpointOf(node), options);
  };
  const isNeeded = refusal !== undefined || mayTravelInSlices(source, options);
  if (!options.dryRun && isNeeded) await checkElements();
  const isOffered =
    source.giants !== undefined || (source.has.memory && maxSourceLatencyMs !== 'off');
  // Nobody asked for it: who may not, moves large values in one piece.
  const maySlice = isNeeded || options.dryRun || (isOffered && (await isAllowed(checkElements)));
  const giants = maySlice ? source.giants : undefined;
  const has = { ...source.has, migrate: mayMigrate };
  return { ...source, has, giants, maySlice, ...payloads };
}

async function isAllowed(check: () => Promise<void>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (error) {
    if (error instanceof PreflightError) return false;
    throw error;
  }
}

/** Whether it was asked for that values travel element by element from some size on. */
function mayTravelInSlices(
  { has }: Pick<FoundServer, 'has'>,
  options: Pick<ImportOptions, 'splitAboveBytes' | 'maxSourceLatencyMs'>,
): boolean {
  const { splitAboveBytes, maxSourceLatencyMs } = options;
  return splitAboveBytes !== undefined || (typeof maxSourceLatencyMs === 'number' && has.memory);
}

/** Nothing has moved yet, whatever it was: the exit code says so. */
export function asPreflightError(error: unknown): unknown {
  if (!(error instanceof ImportError) || error.exitCode === 2) return error;
  if (error instanceof StoppedError) return error;
  return new PreflightError(error.message, { cause: error });
}
