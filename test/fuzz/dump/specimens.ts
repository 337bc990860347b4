/**
 * The dumps that are mutated: one of each RDB version that servers write (`specimens/`, of Redis 2.8 to
 * 7.4, with every type and encoding of theirs), and what none of these writes any more, or only with a
 * module.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { oldRecords, rdbFile, rdbLength, type Record } from '../../support/rdb-file.js';

export interface Specimen {
  readonly name: string;
  readonly file: Buffer;
}

const folder = new URL('./specimens/', import.meta.url);

const written = readdirSync(folder)
  .filter((name) => name.endsWith('.rdb'))
  .sort()
  .map((name): Specimen => ({ name, file: readFileSync(new URL(name, folder)) }));

/** The codes that stand ahead of what a module writes: number, double, string, and the end. */
const ofModule: Record = {
  type: 7,
  key: 'of a module',
  value: [
    Buffer.from([0x81, 1, 2, 3, 4, 5, 6, 7, 8]),
    ...[Buffer.from([2, 7]), Buffer.from([4, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]), rdbLength(5), 'text'],
    Buffer.from([0]),
  ],
};

const long: Record = { type: 0, key: 'larger than the window', value: ['x'.repeat(400_000)] };
const longList: Record = {
  type: 1,
  key: 'a list of many',
  value: [rdbLength(40_000), ...Array<string>(40_000).fill('an item')],
};

const now = 1_700_000_000_000;
export const specimens: readonly Specimen[] = [
  ...written,
  { name: 'by hand, version 3', file: rdbFile(3, oldRecords(now)) },
  { name: 'by hand, of a module', file: rdbFile(9, [...oldRecords(now), ofModule]) },
];

/** It takes a hundred times as long as the others, so it is tried less often. */
export const largeSpecimen: Specimen = {
  name: 'by hand, large values',
  file: rdbFile(10, [long, ...oldRecords(now), longList]),
};
