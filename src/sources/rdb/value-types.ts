/**
 * The types of values in RDB files, one a row: what TYPE calls it, the first RDB version that has
 * it, and what its bytes are made of (rdb.h and rdbLoadObject in Redis' rdb.c).
 *
 * RDB versions: 6 came with Redis 2.6, 7 with 3.2, 8 with 4.0, 9 with 5.0, 10 with 7.0, 11 with
 * 7.2, 12 with Redis 7.4, 80 with Valkey 9.0.
 */

import type { Product } from '../../types.js';

/** A part of a value. */
export type Part =
  /** Length, or a number written like one. */
  | 'length'
  | 'string'
  /** A number as text behind one byte that tells how long it is. */
  | 'textual double'
  /** What a module wrote: values with a code ahead of each, up to an end. */
  | 'module values'
  /** So many bytes. */
  | number
  /** A count, and these parts so many times. */
  | readonly Part[];

export interface ValueType {
  /** As TYPE names it. */
  readonly name: string;
  /** The first RDB version with it: a payload of that version is understood wherever it is known. */
  readonly since: number;
  readonly parts: readonly Part[];
}

const milliseconds = 8;
const entryId = 16;

const consumer = (times: number): readonly Part[] => ['string', milliseconds * times, [entryId]];
const pending: readonly Part[] = [entryId, milliseconds, 'length'];

/** Nodes; count, last id; what version 2 added; groups, each with what version 2 and 3 added. */
function stream(version: 1 | 2 | 3): readonly Part[] {
  const more: readonly Part[] = version === 1 ? [] : Array<Part>(5).fill('length');
  const read: readonly Part[] = version === 1 ? [] : ['length'];
  const group = ['string', 'length', 'length', ...read, pending, consumer(version === 3 ? 2 : 1)];
  return [['string', 'string'], 'length', 'length', 'length', ...more, group as readonly Part[]];
}

const row = (name: string, since: number, ...parts: readonly Part[]): ValueType => ({
  name,
  since,
  parts,
});

const moduleType = 7;
export const stringType = 0;

/** Up to 21, both products mean the same by a number. */
const commonTypes: readonly (readonly [number, ValueType])[] = [
  [stringType, row('string', 1, 'string')],
  [1, row('list', 1, ['string'])],
  [2, row('set', 1, ['string'])],
  [3, row('zset', 1, ['string', 'textual double'])],
  [4, row('hash', 1, ['string', 'string'])],
  [5, row('zset', 8, ['string', 8])],
  // 6 is that of modules in release candidates of 4.0: only the module knows where it ends.
  [moduleType, row('module', 8, 'length', 'module values')],
  [9, row('hash', 2, 'string')],
  [10, row('list', 2, 'string')],
  [11, row('set', 2, 'string')],
  [12, row('zset', 2, 'string')],
  [13, row('hash', 4, 'string')],
  [14, row('list', 7, ['string'])],
  [15, row('stream', 9, ...stream(1))],
  [16, row('hash', 10, 'string')],
  [17, row('zset', 10, 'string')],
  [18, row('list', 10, ['length', 'string'])],
  [19, row('stream', 10, ...stream(2))],
  [20, row('set', 11, 'string')],
  [21, row('stream', 11, ...stream(3))],
];

const ofRedis: ReadonlyMap<number, ValueType> = new Map([
  ...commonTypes,
  // Deadlines of fields: as release candidates of 7.4 wrote them, then as 7.4 does.
  [22, row('hash', 12, ['length', 'string', 'string'])],
  [23, row('hash', 12, 'string')],
  [24, row('hash', 12, milliseconds, ['length', 'string', 'string'])],
  [25, row('hash', 12, milliseconds, 'string')],
]);

const ofValkey: ReadonlyMap<number, ValueType> = new Map([
  ...commonTypes,
  // Fields with their deadlines, -1 for none.
  [22, row('hash', 80, ['string', 'string', milliseconds])],
]);

export function valueTypesOf(product: Product): ReadonlyMap<number, ValueType> {
  return product === 'Redis' ? ofRedis : ofValkey;
}

/** What TYPE calls a type of either product. */
export function typeNameOf(type: number): string {
  return ofRedis.get(type)?.name ?? 'unknown';
}
