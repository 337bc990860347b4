/** What movers/elements has to know: which values are for it, and what the servers can do. */
import type { Abilities } from '../movers/elements/passage.js';
import { giantBytes } from '../redis/key-sizes.js';
import { createSizes, type Sizes } from '../redis/sizes.js';
import type { ImportOptions } from '../options.js';
import { type MasterFacts, usualLargestBytes } from '../preflight/master-facts.js';
import { oldestPayloadVersion, payloadVersionFor } from '../preflight/payloads.js';
import type { ServerSourceFacts } from '../preflight/source-facts.js';

/** Above, a value is moved by itself where all go element by element and nothing else was said. */
const aloneAboveBytes = 64 * 1024 * 1024;

/** What DUMP packs in half a millisecond, in bytes of memory. Strings are not packed. */
const gentleBytesPerMs = 100_000;

/**
 * Sizes are asked for only when --split-above was said, or while clients of the source may not have to wait
 * (limits/quiet.ts), because no piece of work is longer than one large value: MEMORY USAGE costs the source some 1.3 µs
 * a key where the whole of DUMP, PTTL and UNLINK costs 8. Where all values go element by element,
 * that is nothing beside the rest. A source that tells by itself whether there are giants (redis/key-sizes.ts) is
 * asked about keys only while there are.
 *
 * @param latencyMs what clients of the source may have to wait now; undefined: nobody minds.
 */
export function sizesOf(
  { has, giants, db, maySlice }: ServerSourceFacts,
  { splitAboveBytes }: Pick<ImportOptions, 'splitAboveBytes'>,
  allByElements: boolean,
  latencyMs: () => number | undefined,
): Sizes {
  const memoryUsage = has.memory;
  const gentleBytes = (): number | undefined => {
    const limitMs = memoryUsage && maySlice ? latencyMs() : undefined;
    return limitMs === undefined ? undefined : limitMs * gentleBytesPerMs;
  };
  if (splitAboveBytes !== undefined) {
    return createSizes({ limitBytes: () => splitAboveBytes, ofStrings: true, memoryUsage });
  }
  if (!allByElements && giants) {
    return createSizes({
      isOptional: true,
      limitBytes: () => Math.min(gentleBytes() ?? Infinity, giantBytes),
      ofStrings: giants.strings > 0,
      memoryUsage,
      giantsOf: () => (gentleBytes() === undefined ? db : undefined),
    });
  }
  const usualBytes = allByElements && memoryUsage ? aloneAboveBytes : undefined;
  return createSizes({
    isOptional: !allByElements,
    limitBytes: () => gentleBytes() ?? usualBytes,
    ofStrings: false,
    memoryUsage,
  });
}

export function elementAbilities(
  source: ServerSourceFacts,
  node: MasterFacts | undefined,
): Abilities {
  return {
    readsFieldDeadlines: source.has.hpexpiretime,
    takesFieldDeadlines: node?.has.hpexpiretime ?? false,
    takesStreamCounts: node?.has.streamCounts ?? false,
    createsConsumers: node?.has.createConsumer ?? false,
    unlinks: node?.has.unlink ?? false,
    payloadVersion: payloadVersionFor(node?.rdbVersion ?? oldestPayloadVersion),
    largestBytes: node?.largestBytes ?? usualLargestBytes,
    nodeSkewMs: node?.clockSkewMs ?? 0,
    sourceSkewMs: source.clockSkewMs,
  };
}
