/**
 * Which way the source's values would take to the cluster's nodes, and what would stay behind: told by the
 * sample, type by type, before anything moves. Strings travel as themselves, all others as payloads (DUMP), which
 * nodes may refuse for their version, or for the type of the value (plan/payloads.ts).
 */
import type { Plan } from './assess-report.js';

type Way = NonNullable<Plan['ways']>[number]['way'];

/** Some sampled keys of one type. */
export interface SampledType {
  /** As TYPE names it. */
  readonly type: string;
  /** The payload's first byte; undefined: none was read. */
  readonly payloadType: number | undefined;
  readonly count: number;
}

/** What the nodes, all of them, take. */
export interface NodeFacts {
  /** Why they refuse payloads as they are; undefined: they don't. */
  readonly refusal: string | undefined;
  /** Under which version they take payloads, and of which types; undefined: under none. */
  readonly rewrite: { readonly version: number; readonly types: Uint8Array } | undefined;
  /** Types of modules that they do not know, as TYPE names them. */
  readonly unknownTypes: ReadonlySet<string>;
  readonly fieldDeadlines: boolean;
  readonly streams: boolean;
}

/** Types of every server; others are of modules. */
export const ownTypes: ReadonlySet<string> = new Set([
  'string',
  'list',
  'set',
  'zset',
  'hash',
  'stream',
]);

/** The types that hashes with deadlines of fields have in payloads: Redis' since 7.4, Valkey's since 9.0. */
const withFieldDeadlines: ReadonlySet<number> = new Set([22, 23, 24, 25]);

/** @param keys how many there are in all. */
export function waysOf(
  sample: readonly SampledType[],
  nodes: NodeFacts,
  keys: number,
): NonNullable<Plan['ways']> {
  const sampled = sample.reduce((sum, { count }) => sum + count, 0);
  const rows = new Map<string, { way: Way; type: string; why?: string; count: number }>();
  for (const one of sample) {
    const found = wayOf(one, nodes);
    const id = `${found.way} ${one.type} ${found.why ?? ''}`;
    const row = rows.get(id) ?? { ...found, type: one.type, count: 0 };
    row.count += one.count;
    rows.set(id, row);
  }
  return [...rows.values()]
    .sort((one, other) => other.count - one.count)
    .map(({ way, type, why, count }) => ({
      way,
      type,
      keys: Math.round((count / Math.max(1, sampled)) * keys),
      ...(why !== undefined && { why }),
    }));
}

function wayOf(
  { type, payloadType }: SampledType,
  { refusal, rewrite, unknownTypes, fieldDeadlines, streams }: NodeFacts,
): { readonly way: Way; readonly why?: string } {
  if (type === 'string') return { way: 'whole' };
  if (!ownTypes.has(type)) {
    // Nobody but its module knows what is in it.
    if (refusal !== undefined) return { way: 'stays', why: 'the nodes refuse its payload' };
    return unknownTypes.has(type)
      ? { way: 'stays', why: 'not all nodes have its module' }
      : { way: 'whole' };
  }
  if (type === 'stream' && !streams) return { way: 'stays', why: 'not all nodes know streams' };
  if (refusal === undefined) return { way: 'whole' };
  if (payloadType !== undefined && withFieldDeadlines.has(payloadType) && !fieldDeadlines) {
    return { way: 'stays', why: 'its fields have deadlines, which not all nodes know' };
  }
  if (!rewrite) return { way: 'elements' };
  // Where no payload was read, the types that most values have decide.
  return payloadType === undefined || rewrite.types[payloadType] === 1
    ? { way: 'rewritten' }
    : { way: 'elements' };
}
