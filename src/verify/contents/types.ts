/** The table of types: how each one's contents are compared, and what tells how many elements it has. */
import type { Comparison } from './asker.js';
import { lists, sortedSets, strings } from './ordered.js';
import { payloads } from './payloads.js';
import { streams } from './streams.js';
import { hashes, sets } from './unordered.js';

interface TypeRow {
  readonly compare: Comparison;
  /** Undefined: it has none. */
  readonly lengthWord?: string;
}

const rows: Readonly<Record<string, TypeRow>> = {
  string: { compare: strings },
  list: { compare: lists, lengthWord: 'LLEN' },
  set: { compare: sets, lengthWord: 'SCARD' },
  hash: { compare: hashes, lengthWord: 'HLEN' },
  zset: { compare: sortedSets, lengthWord: 'ZCARD' },
  stream: { compare: streams, lengthWord: 'XLEN' },
};

/** @param type as TYPE names it. */
export function typeRow(type: string): TypeRow {
  return rows[type] ?? { compare: payloads };
}
