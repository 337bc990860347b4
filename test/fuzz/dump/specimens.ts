/**
 * The dumps that are mutated: one of each RDB version that servers write (`specimens/`, of Redis 2.8 to
 * 7.4 and Valkey 9, with every type and encoding of theirs), and what none of these writes any more, or only with a
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

const now = 1_700_000_000_000;

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

/** How lately a key was used, and its slot, as Redis Enterprise notes them; then metadata of modules, as 8.6 does. */
const ofEnterprise = [Buffer.from([121]), rdbLength(900), Buffer.from([107]), rdbLength(70_000)];
const metadata = [
  Buffer.from([243]),
  rdbLength(1),
  Buffer.from('mod1'),
  Buffer.from([2, 7, 5, 2, 104, 105, 0]),
];
const noted = (notes: readonly Buffer[]): readonly Record[] =>
  oldRecords(now).map((record, at) =>
    at % 2 ? record : { ...record, notes: Buffer.concat(notes) },
  );

const long: Record = { type: 0, key: 'larger than the window', value: ['x'.repeat(400_000)] };
const longList: Record = {
  type: 1,
  key: 'a list of many',
  value: [rdbLength(40_000), ...Array<string>(40_000).fill('an item')],
};

export const specimens: readonly Specimen[] = [
  ...written,
  { name: 'by hand, version 3', file: rdbFile(3, oldRecords(now)) },
  { name: 'by hand, of Enterprise', file: rdbFile(11, noted(ofEnterprise)) },
  { name: 'by hand, with metadata', file: rdbFile(13, noted(metadata)) },
  { name: 'by hand, of a module', file: rdbFile(9, [...oldRecords(now), ofModule]) },
];

/** It takes a hundred times as long as the others, so it is tried less often. */
export const largeSpecimen: Specimen = {
  name: 'by hand, large values',
  file: rdbFile(10, [long, ...oldRecords(now), longList]),
};
