/** Slots that were left open: by a node that found keys of theirs when it started, not by a resharding. */
import { claimsOf } from './layout.js';
import type { Survey, SurveyedNode } from './survey.js';

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
