/**
 * What the two sides can do with one another: where the keys would go and if there is room, what the
 * cluster lacks, which mover a run would take, and how long that might take.
 */
import { functionLibraries } from '../../assess/data.js';
import { estimateTime } from '../../assess/time-estimate.js';
import type { Finding, Plan, TargetNode } from '../../assess/assess-report.js';
import type { SampledKey } from '../../assess/key-sample.js';
import { PreflightError } from '../../errors.js';
import { readOptions } from '../../options.js';
import { readEndpoint } from '../../preflight/endpoints.js';
import { type MasterFacts, readLargestBytes } from '../../preflight/master-facts.js';
import { lackingModules, modulesOf } from '../../preflight/payloads.js';
import { type PayloadFacts, tryPayloads } from '../../preflight/payload-trial.js';
import { checkNodeRights } from '../../preflight/rights.js';
import { readSource } from '../../preflight/source-facts.js';
import { type Control, openControl } from '../../redis/control.js';
import { freeBytes, readMemory, shareOf } from '../../redis/memory.js';
import { parseNat } from '../../redis/nat.js';
import { readServerFacts } from '../../redis/server.js';
import { type ClusterTopology, openTopology } from '../../redis/topology.js';
import { chooseMover } from '../../run/choose-mover.js';
import type { Node } from '../../types.js';
import type { AssessOptions } from './assess-options.js';

export interface SourceSide {
  readonly control: Control;
  /** Keys of all databases, and what they take. */
  readonly keys: number;
  readonly bytes: number;
  readonly sample: readonly SampledKey[];
  readonly modules: ReadonlySet<string>;
  readonly functions: readonly string[];
}

export interface Meeting {
  readonly to: string;
  readonly nodes: readonly TargetNode[];
  readonly plan: Plan;
  readonly findings: readonly Finding[];
}

/** Types of every server; others are of modules. */
const ownTypes: ReadonlySet<string> = new Set(['string', 'list', 'set', 'zset', 'hash', 'stream']);

interface Master extends MasterFacts {
  readonly functions: readonly string[];
  /** Why keys can't be stored there. */
  readonly obstacle: string | undefined;
}

/** @throws another ImportError when a node can't be asked. */
export async function meetTarget(source: SourceSide, options: AssessOptions): Promise<Meeting> {
  const { timeoutMs } = options;
  const to = await readEndpoint(options.to ?? '', 'to', options);
  const seed = await openControl(to, { side: 'to', timeoutMs });
  try {
    const topology = await openTopology(seed, { timeoutMs, nat: options.nat.map(parseNat) });
    const masters: Master[] = [];
    for (const node of topology.masters) masters.push(await readMaster(node, topology, options));
    const { plan, payloads } = await planOf(source, masters, topology, options);
    return {
      to: seed.address,
      nodes: masters.map((master) => nodeOf(master, topology, source)),
      plan,
      findings: findingsOf(source, masters, payloads),
    };
  } finally {
    seed.close();
  }
}

async function readMaster(
  node: Node,
  topology: ClusterTopology,
  options: AssessOptions,
): Promise<Master> {
  const endpoint = topology.endpointOf(node);
  const control = await openControl(endpoint, { side: 'to', timeoutMs: options.timeoutMs });
  try {
    const facts = await readServerFacts(control);
    let obstacle: string | undefined;
    const takesMigrate = await checkNodeRights(
      endpoint,
      facts.replicasInSync,
      importOptions(options),
    ).catch((error: unknown) => {
      if (!(error instanceof PreflightError)) throw error;
      obstacle = error.message;
      return false;
    });
    return {
      ...facts,
      node,
      takesMigrate,
      obstacle,
      keys: Number(await control.call('DBSIZE')),
      modules: await modulesOf(control),
      largestBytes: await readLargestBytes(control),
      functions: await functionLibraries(control),
      memory: await readMemory(control),
    };
  } finally {
    control.close();
  }
}

/** As a run would be asked with nothing but the two ends. */
function importOptions({ from, to = '', timeoutMs }: AssessOptions) {
  return readOptions({ from: [from], to, timeoutMs });
}

async function planOf(
  { control, keys, sample }: SourceSide,
  masters: readonly Master[],
  topology: ClusterTopology,
  options: AssessOptions,
): Promise<{ readonly plan: Plan; readonly payloads: PayloadFacts }> {
  const { timeoutMs } = options;
  const { endpoint } = control;
  const facts = await readSource(control, { endpoint, inCluster: false, job: '' });
  const nodes = masters.map(({ node }) => node);
  const payloads = await tryPayloads(control, nodes, topology, importOptions(options));
  const mayMigrate = facts.has.migrate && masters.every((master) => master.takesMigrate);
  const { name: mover, reason } = chooseMover(
    {
      source: { ...facts, has: { ...facts.has, migrate: mayMigrate }, ...payloads },
      target: { name: '', topology, masters, nodeIds: undefined },
      replace: false,
      ownsTarget: false,
      isOnlySource: true,
    },
    importOptions(options),
  );
  const estimate = await estimateTime(endpoint, sample, keys, timeoutMs);
  return { plan: { mover, reason, ...(estimate && { estimate }) }, payloads };
}

function nodeOf(
  { node, product, version, memory }: Master,
  topology: ClusterTopology,
  { bytes, sample }: SourceSide,
): TargetNode {
  // Without a sample, keys are taken to be spread evenly.
  const slots = sample.length > 0 ? sample.map(({ slot }) => slot) : undefined;
  const share = shareOf(node, topology, slots);
  const free = freeBytes(memory);
  return {
    address: node.address,
    product,
    version,
    share,
    expectedBytes: Math.round(bytes * share),
    ...(free !== undefined && { freeBytes: free }),
    evictionPolicy: memory.policy ?? '',
  };
}

function findingsOf(
  { sample, modules, functions }: SourceSide,
  masters: readonly Master[],
  { payloadRefusal: refusal, payloadRewrite: rewrite }: PayloadFacts,
): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (blocking: boolean, message: string): void =>
    void findings.push({ blocking, message });
  for (const { obstacle } of masters) if (obstacle !== undefined) add(true, obstacle);
  if (refusal !== undefined) {
    const way = rewrite
      ? `they are passed on as version ${String(rewrite.version)}, and values of types that it does not know travel element by element`
      : 'values travel element by element, which takes longer';
    add(false, `The cluster does not take the source's payloads (${refusal}): ${way}.`);
  }
  const lacking = lackingModules(
    modules,
    masters.map((master) => ({ address: master.node.address, modules: master.modules })),
  );
  const isUsed = sample.some(({ type }) => !ownTypes.has(type));
  if (lacking !== undefined) add(isUsed, lacking);
  const absent = functions.filter((name) => masters.some((one) => !one.functions.includes(name)));
  if (absent.length > 0) {
    add(
      false,
      `Not all masters have the source's function ${absent.length === 1 ? 'library' : 'libraries'} ${absent.join(', ')}, which ${absent.length === 1 ? "doesn't" : "don't"} travel with the keys: pass --functions when you import.`,
    );
  }
  return findings;
}
