/**
 * What CLUSTER SLOTS says: which node owns which slots, under the address that the node announces.
 */
import type { Node } from '../types.js';
import type { ControlReply } from './control.js';
import { addressOf } from './endpoint.js';
import { slotCount } from './slot.js';

export interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly master: Node;
  readonly replicas: readonly Node[];
}

/**
 * @param askedHost stands in for an address that the node itself does not know: null, an empty
 *   one (a fresh node that nobody has met) and `?` (it prefers a hostname, and has none).
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
