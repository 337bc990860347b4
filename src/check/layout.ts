/** Which node owns which slot: by one node's account, and by each master's own; and slots that were left open. */
import type { NodeLine } from '../redis/nodes.js';
import { slotCount } from '../redis/slot.js';
import type { Survey, SurveyedNode } from './survey.js';

/** For each slot the ids of those that claim it. */
export type Claims = readonly (readonly string[])[];

export function claimsOf(lines: readonly Pick<NodeLine, 'id' | 'slots'>[]): Claims {
  const claims: string[][] = Array.from({ length: slotCount }, () => []);
  for (const { id, slots } of lines) {
    for (const [first, last] of slots) {
      for (let slot = first; slot <= last; slot++) claims[slot]?.push(id);
    }
  }
  return claims;
}

/** The slots for which something holds, as text: `0-99, 500`. */
export function slotsWhere(isWanted: (slot: number) => boolean): { count: number; text: string } {
  const ranges: [number, number][] = [];
  let count = 0;
  for (let slot = 0; slot < slotCount; slot++) {
    if (!isWanted(slot)) continue;
    count++;
    const last = ranges.at(-1);
    if (last?.[1] === slot - 1) last[1] = slot;
    else ranges.push([slot, slot]);
  }
  const shown = ranges.slice(0, 10).map(([first, last]) => spanOf(first, last));
  return { count, text: [...shown, ...(ranges.length > 10 ? ['…'] : [])].join(', ') };
}

function spanOf(first: number, last: number): string {
  return first === last ? String(first) : `${String(first)}-${String(last)}`;
}

/** Two views that agree on the owners of all slots have the same text. */
export function layoutText(lines: readonly NodeLine[]): string {
  return lines
    .filter(({ slots }) => slots.length > 0)
    .map(({ id, slots }) => `${id} ${slots.map(([first, last]) => spanOf(first, last)).join(' ')}`)
    .sort()
    .join('\n');
}

/** Slots that a node has open to take them, while their owner does not give them to it. */
export function openWithoutGiver(
  { id, own }: Pick<SurveyedNode, 'id' | 'own'>,
  { lines, nodes }: Pick<Survey, 'lines' | 'nodes'>,
): readonly number[] {
  if (!own || own.importing.size === 0) return [];
  const claims = claimsOf(lines);
  return [...own.importing.keys()].filter((slot) => {
    const owner = nodes.find((node) => node.id === claims[slot]?.[0]);
    return owner?.own !== undefined && owner.id !== id && owner.own.migrating.get(slot) !== id;
  });
}
