/**
 * Which node owns which slot, asked of the cluster itself.
 *
 * The address given as `--to` is only a seed. Keys are sent to what the cluster announces (in CLUSTER
 * SLOTS), because that is what its redirections name, and what a source that runs MIGRATE has to dial.
 */
import { messageOf, RefusedError, TargetError } from '../errors.js';
import type { Node, Topology } from '../types.js';
import { type Control, type ControlOptions, type ControlReply, withControl } from './control.js';
import { addressOf, type Endpoint, type NatRule, type Place, reach } from './endpoint.js';
import { slotCount } from './frames.js';

export interface ClusterTopology extends Topology {
  /** The masters that own slots, and the replicas, as last heard. */
  readonly masters: readonly Node[];
  readonly replicas: readonly Node[];
  /** How to log in to a node: as to the seed. */
  endpointOf(node: Pick<Node, 'host' | 'port'>): Endpoint;
}

export interface TopologyOptions extends Pick<ControlOptions, 'timeoutMs'> {
  /** How announced addresses are reached from here. */
  readonly nat: readonly NatRule[];
  /** Where the seed was given. */
  readonly flag?: '--to' | '--from-cluster';
}

/**
 * Reads the slots through the seed's connection, which it does not keep.
 * @throws TargetError when it is not a cluster, or one that is not whole.
 */
export async function openTopology(
  seed: Control,
  options: TopologyOptions,
): Promise<ClusterTopology> {
  const nodes: Node[] = [];
  const owners = new Uint16Array(slotCount);
  const { flag = '--to' } = options;
  let ranges = await readRanges(seed, flag);
  /** Which node knew last. */
  let lastAddress: string | undefined;
  let underWay: Promise<void> | undefined;

  function adopt(news: readonly SlotRange[]): void {
    ranges = news;
    for (const { first, last, master } of news) owners.fill(indexOf(master), first, last + 1);
  }

  function indexOf(node: Node): number {
    const index = nodes.findIndex(({ address }) => address === node.address);
    return index === -1 ? nodes.push(node) - 1 : index;
  }

  function endpointOf({ host, port }: Pick<Node, 'host' | 'port'>): Endpoint {
    return { ...seed.endpoint, ...reach({ host, port }, options.nat), db: 0 };
  }

  /** Asks one node after the other until one knows a whole cluster: one that hangs is asked once, and not each time. */
  async function refresh(): Promise<void> {
    const known = [...distinct(ranges.flatMap(({ master, replicas }) => [master, ...replicas]))];
    const isLast = ({ address }: Node): number => (address === lastAddress ? 0 : 1);
    known.sort((one, other) => isLast(one) - isLast(other));
    const asked = [
      ...known.map((node) => ({ address: node.address, endpoint: endpointOf(node) })),
      { address: undefined, endpoint: seed.endpoint },
    ];
    let reason: unknown;
    for (const { address, endpoint } of asked) {
      try {
        adopt(await askAt(endpoint));
        lastAddress = address;
        return;
      } catch (error) {
        // What a node says about the cluster explains more than that others are away.
        if (reason === undefined || error instanceof TargetError) reason = error;
      }
    }
    const words = messageOf(reason);
    throw new TargetError(`No node of the cluster knows where its slots are: ${words}`, {
      cause: reason,
    });
  }

  async function askAt(endpoint: Endpoint): Promise<readonly SlotRange[]> {
    return withControl(endpoint, { side: 'to', timeoutMs: options.timeoutMs }, (control) =>
      readRanges(control, flag),
    );
  }

  adopt(ranges);
  return {
    nodes,
    owners,
    nodeAt(address) {
      const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
      return nodes[indexOf({ host, port: Number(port), address })] as Node;
    },
    get masters() {
      return [...distinct(ranges.map(({ master }) => master))];
    },
    get replicas() {
      return [...distinct(ranges.flatMap(({ replicas }) => replicas))];
    },
    endpointOf,
    refresh() {
      underWay ??= refresh().finally(() => (underWay = undefined));
      return underWay;
    },
  };
}

async function readRanges(
  control: Control,
  flag: '--to' | '--from-cluster',
): Promise<readonly SlotRange[]> {
  const { address } = control;
  let info: string;
  try {
    info = String(await control.call('CLUSTER', 'INFO'));
  } catch (error) {
    if (!(error instanceof RefusedError) || !/cluster support|unknown command/.test(error.reply)) {
      throw error;
    }
    throw new TargetError(
      flag === '--to'
        ? `${address} is not a node of a cluster: give --to any node of the target cluster.`
        : `${address} is not a node of a cluster: name a server that stands alone in --from.`,
      { cause: error },
    );
  }
  const ranges = parseSlots(await control.call('CLUSTER', 'SLOTS'), control.endpoint.host);
  const gaps = uncoveredSlots(ranges);
  const repair = `\`cluster-import check --to ${address}\` shows what is wrong; repair that first`;
  const [gap] = gaps;
  if (gap) {
    const count = gaps.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    const which =
      count === 1
        ? `Slot ${String(gap[0])} of the cluster has no owner`
        : `${String(count)} of the cluster's ${String(slotCount)} slots have no owner (the first are ${gap.join('-')})`;
    throw new TargetError(`${which}, says ${address}: ${repair}.`);
  }
  const state = /cluster_state:(\w+)/.exec(info)?.[1] ?? 'unknown';
  if (state !== 'ok') {
    throw new TargetError(`The cluster's state is "${state}", says ${address}: ${repair}.`);
  }
  return ranges;
}

function distinct(nodes: readonly Node[]): Iterable<Node> {
  return new Map(nodes.map((node) => [node.address, node])).values();
}

export interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly master: Node;
  readonly replicas: readonly Node[];
}

/**
 * @param askedHost stands in for an address that the node itself does not know: null, an empty
 *   one (a fresh node that no other has met) and `?` (it prefers a hostname, and has none).
 */
export function parseSlots(reply: ControlReply, askedHost: string): readonly SlotRange[] {
  return asArray(reply).map((row) => {
    const [first, last, master, ...replicas] = asArray(row);
    return {
      first: Number(first),
      last: Number(last),
      master: parseNode(master, askedHost),
      replicas: replicas.map((replica) => parseNode(replica, askedHost)),
    };
  });
}

/** The slots without an owner, as ranges. */
export function uncoveredSlots(ranges: readonly SlotRange[]): readonly [number, number][] {
  const sorted = [...ranges].sort((a, b) => a.first - b.first);
  const gaps: [number, number][] = [];
  let next = 0;
  for (const { first, last } of sorted) {
    if (first > next) gaps.push([next, first - 1]);
    next = Math.max(next, last + 1);
  }
  if (next < slotCount) gaps.push([next, slotCount - 1]);
  return gaps;
}

function parseNode(reply: ControlReply | undefined, askedHost: string): Node {
  const [preferred, port, , details] = asArray(reply);
  const isKnown = typeof preferred === 'string' && preferred !== '' && preferred !== '?';
  // Since 7.0 a list of names and values tells the address that is not the preferred one.
  const listed = asArray(details);
  const ip = preferred === '?' ? listed[listed.indexOf('ip') + 1] : undefined;
  const host = isKnown ? preferred : typeof ip === 'string' && ip !== 'ip' ? ip : askedHost;
  return { host, port: Number(port), address: addressOf({ host, port: Number(port) }) };
}

function asArray(reply: ControlReply | undefined): readonly ControlReply[] {
  return Array.isArray(reply) ? reply : [];
}

/* What CLUSTER NODES says: one line for each node that the asked one knows, itself among them. */

export interface NodeLine {
  readonly id: string;
  readonly place: Place;
  readonly flags: ReadonlySet<string>;
  /** The id of the master that it replicates; undefined: it is one. */
  readonly masterId: string | undefined;
  readonly epoch: number;
  readonly connected: boolean;
  /** Ranges, first and last included. */
  readonly slots: readonly (readonly [number, number])[];
  /** Slots that it gives away or takes, and whose they are or become; only in a node's own line. */
  readonly migrating: ReadonlyMap<number, string>;
  readonly importing: ReadonlyMap<number, string>;
}

/** @param askedHost stands in for an address that the node itself does not know. */
export function parseNodes(text: string, askedHost: string): readonly NodeLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine(line, askedHost));
}

/** The line of the node that was asked. */
export function ownLine(lines: readonly NodeLine[]): NodeLine | undefined {
  return lines.find(({ flags }) => flags.has('myself'));
}

function parseLine(line: string, askedHost: string): NodeLine {
  const [id = '', address = '', flags = '', master = '-', , , epoch, link, ...rest] =
    line.split(' ');
  const migrating = new Map<number, string>();
  const importing = new Map<number, string>();
  const slots: (readonly [number, number])[] = [];
  for (const word of rest) {
    const [, slot, sign, other = ''] = /^\[(\d+)-([<>])-(\w+)\]$/.exec(word) ?? [];
    if (slot !== undefined) (sign === '>' ? migrating : importing).set(Number(slot), other);
    else if (word !== '') {
      const [first = '', last = first] = word.split('-');
      slots.push([Number(first), Number(last)]);
    }
  }
  return {
    id,
    place: parsePlace(address, askedHost),
    flags: new Set(flags.split(',')),
    masterId: master === '-' ? undefined : master,
    epoch: Number(epoch),
    connected: link === 'connected',
    slots,
    migrating,
    importing,
  };
}

/** `ip:port@cport,hostname`; IPv6 has no brackets here, and 3.2 no cport. */
function parsePlace(address: string, askedHost: string): Place {
  const [where = ''] = address.split(/[@,]/, 1);
  const colon = where.lastIndexOf(':');
  const host = where.slice(0, Math.max(0, colon));
  return { host: host === '' ? askedHost : host, port: Number(where.slice(colon + 1)) };
}
