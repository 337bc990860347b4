/** In which order many sources are shown where there is no room for all: what wants to be seen comes first. */
import type { SourceSample } from './sampler.js';

/** As many stay in their order, whatever becomes of them: rows that jump are hard to read. */
const mostInOrder = 20;

/** Those that are not well, those under way, those that wait, and those that are done. */
export function busyFirst(sources: readonly SourceSample[]): readonly SourceSample[] {
  if (sources.length <= mostInOrder) return sources;
  return sources.toSorted((one, other) => rankOf(one) - rankOf(other));
}

function rankOf({ health, progress, moved, conflicting, failed }: SourceSample): number {
  if (health.state !== 'ok') return 0;
  if (progress >= 1) return 3;
  return moved + conflicting + failed > 0 ? 1 : 2;
}
