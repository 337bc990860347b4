/** What movers/elements has to know: which values are for it, and what the servers can do. */
import type { Abilities } from '../movers/elements/passage.js';
import { createSizes, type Sizes } from '../movers/elements/sizes.js';
import type { ImportOptions } from '../options.js';
import type { MasterFacts, SourceFacts } from './preflight.js';

/** Values above are moved in slices, if nothing else was said. */
const splitAboveBytes = 64 * 1024 * 1024;

/** Strings are asked for their sizes only when --split-above was said: that costs more. */
export function sizesOf({ has }: SourceFacts, options: ImportOptions): Sizes | undefined {
  const said = options.splitAboveBytes;
  if (said === undefined && !has.memory) return undefined;
  return createSizes({
    limitBytes: said ?? splitAboveBytes,
    ofStrings: said !== undefined,
    memoryUsage: has.memory,
  });
}

export function elementAbilities(source: SourceFacts, node: MasterFacts | undefined): Abilities {
  return {
    readsFieldDeadlines: source.has.hpexpiretime,
    takesFieldDeadlines: node?.has.hpexpiretime ?? false,
    takesStreamCounts: node?.has.streamCounts ?? false,
    createsConsumers: node?.has.createConsumer ?? false,
    unlinks: node?.has.unlink ?? false,
    nodeSkewMs: node?.clockSkewMs ?? 0,
    sourceSkewMs: source.clockSkewMs,
  };
}
