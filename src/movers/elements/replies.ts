/** Answers that are lists of lists, as XINFO and XRANGE give them. */
import { type Reply, textOf } from '../../redis/reply.js';

/** Names and values that stand in turn in a list. */
export function fieldsOf(reply: Reply): ReadonlyMap<string, Reply> {
  const list = Array.isArray(reply) ? reply : [];
  const fields = new Map<string, Reply>();
  for (let at = 0; at + 1 < list.length; at += 2) {
    fields.set(textOf(list[at]), list[at + 1] ?? null);
  }
  return fields;
}

export function rowsOf(reply: Reply | undefined): Reply[][] {
  return Array.isArray(reply) ? reply.filter((row) => Array.isArray(row)) : [];
}
