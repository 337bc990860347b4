/** What is wrong with a cluster, from what its nodes say. Nothing is asked here. */
import { formatCount } from '../format.js';
import {
  claimsOf,
  layoutText,
  openWithoutGiver,
  slotsWhere,
  type Survey,
  type SurveyedNode,
} from './survey.js';

export type ProblemKind =
  | 'slots-uncovered' // no node owns them
  | 'slots-disputed' // two masters claim them
  | 'views-differ' // nodes do not agree on the owners of slots
  | 'slots-open' // a resharding has not ended
  | 'node-unreachable'
  | 'node-failing' // by other nodes' account
  | 'state' // a node says that the cluster is down
  | 'epochs-collide' // two masters have the same, and may both win
  | 'replica-behind' // its link to its master is down
  | 'stray-keys' // keys on a node that does not own their slot
  | 'no-replicas'; // worth knowing, no more

export interface Problem {
  readonly kind: ProblemKind;
  /** `host:port` of the node that it is about. */
  readonly node?: string;
  /** How many slots, or keys, it is about. */
  readonly count?: number;
  /** One sentence. */
  readonly message: string;
}

/** These don't make a cluster unsound. */
export const mere: ReadonlySet<ProblemKind> = new Set(['no-replicas']);

export function problemsOf(survey: Survey): readonly Problem[] {
  return [
    ...slotProblems(survey),
    ...agreement(survey),
    ...survey.nodes.flatMap((node) => nodeProblems(node, survey)),
    ...epochs(survey),
    ...withoutReplicas(survey),
  ];
}

function slotProblems({ lines, nodes, seed }: Survey): Problem[] {
  const problems: Problem[] = [];
  const known = claimsOf(lines);
  const uncovered = slotsWhere((slot) => known[slot]?.length === 0);
  if (uncovered.count > 0) {
    const message = `No node owns ${counted(uncovered.count, 'slot')} (${uncovered.text}), says ${seed}.`;
    problems.push({ kind: 'slots-uncovered', count: uncovered.count, message });
  }
  const own = claimsOf(nodes.flatMap((node) => (node.own ? [node.own] : [])));
  const disputed = slotsWhere((slot) => (own[slot]?.length ?? 0) > 1);
  if (disputed.count > 0) {
    const ids = new Set(own.filter((claims) => claims.length > 1).flat());
    const names = nodes.filter(({ id }) => ids.has(id)).map(({ address }) => address);
    const message = `More than one master claims ${counted(disputed.count, 'slot')} (${disputed.text}): ${names.join(', ')}.`;
    problems.push({ kind: 'slots-disputed', count: disputed.count, message });
  }
  return problems;
}

function agreement({ lines, nodes, seed }: Survey): Problem[] {
  const wanted = layoutText(lines);
  const ids = lines
    .map(({ id }) => id)
    .sort()
    .join(' ');
  return nodes.flatMap((node): Problem[] => {
    if (!node.view) return [];
    if (layoutText(node.view) !== wanted) {
      const message = `${node.address} and ${seed} do not agree on who owns which slot.`;
      return [{ kind: 'views-differ', node: node.address, message }];
    }
    if (
      node.view
        .map(({ id }) => id)
        .sort()
        .join(' ') === ids
    )
      return [];
    const message = `${node.address} and ${seed} do not know the same nodes.`;
    return [{ kind: 'views-differ', node: node.address, message }];
  });
}

function nodeProblems(node: SurveyedNode, { nodes, lines }: Survey): Problem[] {
  const { address, own, trouble, state, masterLink, strays } = node;
  if (trouble !== undefined) {
    return [{ kind: 'node-unreachable', node: address, message: trouble }];
  }
  const problems: Problem[] = [];
  const accusers = nodes.filter(({ view }) =>
    view?.some(({ id, flags }) => id === node.id && (flags.has('fail') || flags.has('fail?'))),
  );
  if (accusers.length > 0) {
    const who = accusers.map((accuser) => accuser.address).join(', ');
    problems.push({
      kind: 'node-failing',
      node: address,
      message: `${who} can't reach ${address}.`,
    });
  }
  if (state !== 'ok') {
    const message = `The cluster's state is "${state}", says ${address}.`;
    problems.push({ kind: 'state', node: address, message });
  }
  const open = (own?.migrating.size ?? 0) + (own?.importing.size ?? 0);
  if (own && open > 0) {
    const slots = slotsWhere((slot) => own.migrating.has(slot) || own.importing.has(slot));
    const left = openWithoutGiver(node, { lines, nodes }).length;
    const message = `${address} has ${counted(open, 'slot')} open (${slots.text}): ${wayOut(address, open, left)}`;
    problems.push({ kind: 'slots-open', node: address, count: open, message });
  }
  if (masterLink !== undefined && masterLink !== 'up') {
    const message = `${address} has lost its master: its copy is behind.`;
    problems.push({ kind: 'replica-behind', node: address, message });
  }
  const keys = strays.reduce((sum, stray) => sum + stray.keys, 0);
  if (keys > 0) {
    const message = `${address} holds ${counted(keys, 'key')} of ${counted(strays.length, 'slot')} that ${strays.length === 1 ? 'is' : 'are'} not its own: clients don't find ${keys === 1 ? 'it' : 'them'} there; --fix-keys moves ${keys === 1 ? 'it to its owner' : 'them to their owners'}.`;
    problems.push({ kind: 'stray-keys', node: address, count: keys, message });
  }
  return problems;
}

/** @param left how many it takes that no node gives. */
function wayOut(address: string, open: number, left: number): string {
  const close = `if no resharding is under way, close each at ${address} with CLUSTER SETSLOT <slot> STABLE.`;
  if (left === 0) return `it gives them away or takes them; ${close}`;
  const found = `it found keys of theirs when it started; --fix-keys moves these to their owners and closes the slots`;
  if (left === open) return `${found}.`;
  return `of ${formatCount(left)} ${found}; it gives the others away or takes them; ${close}`;
}

/** `1 slot`, `2 slots` */
function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function epochs({ nodes }: Survey): Problem[] {
  const masters = nodes.filter(({ own }) => own && !own.masterId && own.slots.length > 0);
  const problems: Problem[] = [];
  for (const [at, node] of masters.entries()) {
    const other = masters.slice(at + 1).find(({ own }) => own?.epoch === node.own?.epoch);
    if (!other) continue;
    const message = `${node.address} and ${other.address} have the same epoch, ${String(node.own?.epoch)}: none of them would win a dispute.`;
    problems.push({ kind: 'epochs-collide', node: node.address, message });
  }
  return problems;
}

function withoutReplicas({ nodes, lines }: Survey): Problem[] {
  return nodes.flatMap(({ id, address, own }): Problem[] => {
    if (!own || own.slots.length === 0) return [];
    if (lines.some(({ masterId }) => masterId === id)) return [];
    return [{ kind: 'no-replicas', node: address, message: `${address} has no replica.` }];
  });
}
