/**
 * What the two sides can do with one another: where the keys would go and if there is room, what the
 * cluster lacks, which mover a run would take, and how long that might take.
 */
import { functionLibraries } from '../../assess/data.js';
import { estimateTime, ownTypes, type SampledType, waysOf } from '../../assess/value-sample.js';
import type { Finding, Plan, TargetNode } from '../../assess/assess-report.js';
import type { SampledKey } from '../../assess/key-sample.js';
import { PreflightError } from '../../errors.js';
import { readOptions } from '../../options/options.js';
import { readSeed } from '../../plan/endpoints.js';
import { type MasterFacts, readLargestBytes } from '../../plan/master-facts.js';
import {
  lackingModules,
  modulesOf,
  type PayloadFacts,
  tryPayload,
  tryPayloads,
} from '../../plan/payloads.js';
import { checkNodeRights } from '../../plan/rights.js';
import { readSource } from '../../plan/source-facts.js';
import { formatCount } from '../../format.js';
import { type Control, withControl } from '../../redis/control.js';
import { type Endpoint, parseNat } from '../../redis/endpoint.js';
import { freeBytes, readMemory, shareOf } from '../../redis/memory.js';
import { type ClusterTopology, openTopology } from '../../redis/topology.js';
import { readServerFacts } from '../../redis/server.js';
import { chooseMover } from '../../run/choose-mover.js';
import { alreadyHolds } from '../../run/decide.js';
import type { Node } from '../../types.js';
import type { AssessOptions } from '../../options/verb-options.js';

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

interface Master extends MasterFacts {
  readonly functions: readonly string[];
  /** Why keys can't be stored there. */
  readonly obstacle: string | undefined;
}

/** @throws another ImportError when a node can't be asked. */
export async function meetTarget(source: SourceSide, options: AssessOptions): Promise<Meeting> {
  const { timeoutMs } = options;
  const to = await readSeed(options.to ?? '', options);
  return withControl(to, { side: 'to', timeoutMs }, async (seed) => {
    const topology = await openTopology(seed, { timeoutMs, nat: options.nat.map(parseNat) });
    const masters: Master[] = [];
    for (const node of topology.masters) masters.push(await readMaster(node, topology, options));
    const { plan, payloads } = await planOf(source, masters, topology, options);
    return {
      to: seed.address,
      nodes: masters.map((master) => nodeOf(master, topology, source)),
      plan,
      findings: [
        ...heldKeys(source, masters),
        ...findingsOf(source, masters, payloads),
        ...staying(plan),
      ],
    };
  });
}

async function readMaster(
  node: Node,
  topology: ClusterTopology,
  options: AssessOptions,
): Promise<Master> {
  const endpoint = topology.endpointOf(node);
  return withControl(endpoint, { side: 'to', timeoutMs: options.timeoutMs }, async (control) => {
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
  });
}

/** As a run would be asked with nothing but the two ends. */
function importOptions({ from, to = '', match, timeoutMs }: AssessOptions) {
  return readOptions({ from: [from], to, match, timeoutMs });
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
      source: {
        ...facts,
        has: { ...facts.has, migrate: mayMigrate },
        maySlice: true,
        ...payloads,
      },
      target: { name: '', topology, masters, nodeIds: undefined },
      replace: false,
      ownsTarget: false,
      isOnlySource: true,
    },
    importOptions(options),
  );
  const payloadsOf = await readPayloads(endpoint, sample, timeoutMs);
  const ways = await waysTo(masters, topology, { sample, keys }, payloads, payloadsOf, options);
  const estimate = await estimateTime(endpoint, sample, keys, timeoutMs);
  const plan = {
    mover,
    reason,
    ...(ways.length > 0 && { ways }),
    ...(estimate && { estimate }),
  };
  return { plan, payloads };
}

/** By the index of each sampled key its payload, as far as some were read. */
type Payloads = ReadonlyMap<number, Buffer>;

/** So many payloads of each type are read, and none that is large. */
const payloadsOfType = 200;
const largestRead = 64 * 1024;

async function readPayloads(
  endpoint: Endpoint,
  sample: readonly SampledKey[],
  timeoutMs: number,
): Promise<Payloads> {
  const counts = new Map<string, number>();
  const found = new Map<number, Buffer>();
  const wanted = [...sample.entries()].filter(([, { type, bytes }]) => {
    const count = counts.get(type) ?? 0;
    if (type === 'string' || bytes === undefined || bytes > largestRead) return false;
    counts.set(type, count + 1);
    return count < payloadsOfType;
  });
  for (const db of new Set(wanted.map(([, one]) => one.db))) {
    await withControl({ ...endpoint, db }, { side: 'from', timeoutMs }, async (control) => {
      for (const [index, { key }] of wanted.filter(([, one]) => one.db === db)) {
        const payload = await control.callBinary('DUMP', key).catch(() => undefined);
        if (Buffer.isBuffer(payload)) found.set(index, payload);
      }
    });
  }
  return found;
}

async function waysTo(
  masters: readonly Master[],
  topology: ClusterTopology,
  { sample, keys }: Pick<SourceSide, 'sample' | 'keys'>,
  { payloadRefusal: refusal, payloadRewrite: rewrite }: PayloadFacts,
  payloads: Payloads,
  options: AssessOptions,
): Promise<NonNullable<Plan['ways']>> {
  const firsts = new Map<string, Buffer>();
  for (const [index, payload] of payloads) {
    const { type } = sample[index] as SampledKey;
    if (!ownTypes.has(type) && !firsts.has(type)) firsts.set(type, payload);
  }
  const unknownTypes = new Set<string>();
  const nodes = masters.map(({ node }) => node);
  for (const [type, payload] of refusal === undefined ? firsts : []) {
    const isTaken = await tryPayload(payload, nodes, topology, importOptions(options));
    if (!isTaken) unknownTypes.add(type);
  }
  return waysOf(
    sampledTypes(sample, payloads),
    {
      refusal,
      rewrite,
      unknownTypes,
      fieldDeadlines: masters.every(({ has }) => has.hpexpiretime),
      streams: masters.every(({ versionNumber }) => versionNumber >= firstWithStreams),
    },
    keys,
  );
}

const firstWithStreams = 50_000;

/** Keys whose payload was not read are like those of their type whose was. */
function sampledTypes(sample: readonly SampledKey[], payloads: Payloads): readonly SampledType[] {
  const counts = new Map<string, Map<number | undefined, number>>();
  for (const [index, { type }] of sample.entries()) {
    const ofType = counts.get(type) ?? new Map<number | undefined, number>();
    const payloadType = payloads.get(index)?.[0];
    ofType.set(payloadType, (ofType.get(payloadType) ?? 0) + 1);
    counts.set(type, ofType);
  }
  return [...counts].flatMap(([type, ofType]) => {
    const unread = ofType.size > 1 ? (ofType.get(undefined) ?? 0) : 0;
    const all = [...ofType.values()].reduce((sum, count) => sum + count, 0);
    const scale = all / (all - unread);
    return [...ofType].flatMap(([payloadType, count]) =>
      payloadType === undefined && unread > 0 ? [] : [{ type, payloadType, count: count * scale }],
    );
  });
}

/** An import has to be told what is to become of them. Of an empty source there is nothing to ask. */
function heldKeys({ keys }: SourceSide, masters: readonly Master[]): readonly Finding[] {
  const all = masters.reduce((sum, master) => sum + master.keys, 0);
  if (all === 0 || keys === 0) return [];
  const holders = masters.filter((master) => master.keys > 0);
  const told = [...holders]
    .sort((one, other) => other.keys - one.keys)
    .slice(0, holdersTold)
    .map((master) => `${formatCount(master.keys)} on ${master.node.address}`);
  const more = holders.length - told.length;
  const where = `${told.join(', ')}${more > 0 ? ` and ${formatCount(more)} more nodes` : ''}`;
  const message = `${alreadyHolds(all)} (${where}): an import refuses to start unless you pass --replace, which overwrites those that the source has too, or --no-replace, which leaves them alone on both sides. --follow needs an empty cluster. If an earlier import brought them, its own command goes on without either.`;
  return [{ blocking: false, message }];
}

const holdersTold = 5;

/** What a run would leave at the source. */
function staying({ ways = [] }: Plan): readonly Finding[] {
  return ways.flatMap(({ way, type, keys, why = '' }) =>
    way === 'stays'
      ? [
          {
            blocking: true,
            message: `About ${formatCount(keys)} ${keys === 1 ? 'key' : 'keys'} of type ${type} would stay at the source: ${why}.`,
          },
        ]
      : [],
  );
}

function nodeOf(
  { node, product, version, keys, memory }: Master,
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
    keys,
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
