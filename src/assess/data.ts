/** What a source holds, from a sample of its keys: types, deadlines, sizes, and where they would go. */
import type { Control, ControlReply } from '../redis/control.js';
import { slotOf } from '../redis/slot.js';
import { reportedKey, type ReportedKey } from '../report.js';
import { shapeOf } from './shapes.js';

export interface DataFacts {
  /** Keys of each database that has any. */
  readonly databases: readonly {
    readonly db: number;
    readonly keys: number;
    readonly expiring: number;
  }[];
  /** Names found in more than one database: the same key, in a cluster. */
  readonly collisions: readonly (ReportedKey & { readonly databases: readonly number[] })[];
  /** Of one database. */
  readonly sampled: number;
  readonly types: readonly {
    readonly type: string;
    readonly share: number;
    readonly meanBytes: number;
  }[];
  /** How far the shares may be off, 95 times of 100. */
  readonly shareError: number;
  readonly meanBytes: number;
  /** How far that may be off. */
  readonly meanBytesError: number;
  readonly largest: readonly (ReportedKey & { readonly type: string; readonly bytes: number })[];
  /** Slots that hold far more of the sample than others, with what their keys look like. */
  readonly loadedSlots: readonly {
    readonly slot: number;
    readonly share: number;
    readonly shape: string;
  }[];
  readonly modules: readonly string[];
  readonly functions: readonly string[];
  /** Slots of the sample, for telling which node they go to. */
  readonly slots: Float64Array;
}

const largestTold = 10;
const loadedTold = 5;
/** Keys of the smaller databases that are looked for in the others. */
const collisionTries = 2000;

/** @param db the one that is sampled. */
export async function readData(
  control: Control,
  db: number,
  wanted: number,
): Promise<Omit<DataFacts, 'modules' | 'functions'>> {
  const databases = databasesOf(await control.info('keyspace'));
  const keys = await randomKeys(
    control,
    Math.min(wanted, databases.find((one) => one.db === db)?.keys ?? 0),
  );
  const rows = await Promise.all(
    keys.map(async (key) => {
      const [type, bytes] = await Promise.all([
        control.call('TYPE', key),
        control.call('MEMORY', 'USAGE', key).catch(() => 0),
      ]);
      return {
        key,
        type: String(type),
        bytes: Number(bytes ?? 0),
        slot: slotOf(key, 0, key.length),
      };
    }),
  );
  const found = rows.filter(({ type }) => type !== 'none');
  const count = Math.max(1, found.length);
  const mean = found.reduce((sum, { bytes }) => sum + bytes, 0) / count;
  const deviation = Math.sqrt(
    found.reduce((sum, { bytes }) => sum + (bytes - mean) ** 2, 0) / count,
  );
  const byType = grouped(found, ({ type }) => type);
  const slots = new Float64Array(16_384);
  for (const { slot } of found) slots[slot] = (slots[slot] ?? 0) + 1;
  return {
    databases,
    collisions: await collisionsOf(control, databases, db),
    sampled: found.length,
    types: [...byType]
      .map(([type, some]) => ({
        type,
        share: some.length / count,
        meanBytes: Math.round(some.reduce((sum, { bytes }) => sum + bytes, 0) / some.length),
      }))
      .sort((a, b) => b.share - a.share),
    shareError: 0.98 / Math.sqrt(count),
    meanBytes: Math.round(mean),
    meanBytesError: Math.round((1.96 * deviation) / Math.sqrt(count)),
    largest: distinct(found)
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, largestTold)
      .map(({ key, type, bytes }) => ({ ...reportedKey(key), type, bytes })),
    loadedSlots: loaded(distinct(found), count),
    slots,
  };
}

interface Row {
  readonly key: Buffer;
  readonly type: string;
  readonly bytes: number;
  readonly slot: number;
}

function distinct(rows: readonly Row[]): Row[] {
  return [...new Map(rows.map((row) => [row.key.toString('latin1'), row])).values()];
}

function grouped<K>(rows: readonly Row[], by: (row: Row) => K): ReadonlyMap<K, Row[]> {
  const groups = new Map<K, Row[]>();
  for (const row of rows) {
    const group = groups.get(by(row));
    if (group) group.push(row);
    else groups.set(by(row), [row]);
  }
  return groups;
}

/** A slot with more than one in a hundred keys is one that a hash tag fills. */
function loaded(rows: readonly Row[], count: number): DataFacts['loadedSlots'] {
  return [...grouped(rows, ({ slot }) => slot)]
    .filter(([, some]) => some.length > Math.max(10, count / 100))
    .sort(([, one], [, other]) => other.length - one.length)
    .slice(0, loadedTold)
    .map(([slot, some]) => ({
      slot,
      share: some.length / count,
      shape: shapeOf((some[0] as Row).key.toString('latin1')),
    }));
}

function databasesOf(info: ReadonlyMap<string, string>): DataFacts['databases'] {
  return [...info].flatMap(([name, value]) => {
    const [, db] = /^db(\d+)$/.exec(name) ?? [];
    if (db === undefined) return [];
    const [keys, expiring] = [/keys=(\d+)/, /expires=(\d+)/].map((one) =>
      Number(one.exec(value)?.[1] ?? 0),
    );
    return [{ db: Number(db), keys: keys ?? 0, expiring: expiring ?? 0 }];
  });
}

async function randomKeys(control: Control, count: number): Promise<Buffer[]> {
  const asked = Array.from({ length: count }, () => control.callBinary('RANDOMKEY'));
  return (await Promise.all(asked)).filter((key) => Buffer.isBuffer(key));
}

async function collisionsOf(
  control: Control,
  databases: DataFacts['databases'],
  own: number,
): Promise<DataFacts['collisions']> {
  const found = new Map<string, Set<number>>();
  if (databases.length < 2) return [];
  try {
    for (const { db, keys } of databases) {
      await control.call('SELECT', db);
      const some = await randomKeys(control, Math.min(collisionTries, keys));
      for (const other of databases) {
        if (other.db === db) continue;
        await control.call('SELECT', other.db);
        const there = await Promise.all(some.map((key) => control.call('EXISTS', key)));
        some.forEach((key, at) => {
          if (there[at] !== 1) return;
          const name = key.toString('latin1');
          found.set(name, (found.get(name) ?? new Set()).add(db).add(other.db));
        });
      }
    }
  } finally {
    await control.call('SELECT', own);
  }
  return [...found].slice(0, 20).map(([name, dbs]) => ({
    ...reportedKey(Buffer.from(name, 'latin1')),
    databases: [...dbs].sort((a, b) => a - b),
  }));
}

/** Names of function libraries (7.0); none where it may not be asked. */
export async function functionLibraries(control: Control): Promise<readonly string[]> {
  const reply = await control.call('FUNCTION', 'LIST').catch((): ControlReply => []);
  return (Array.isArray(reply) ? reply : []).flatMap((row) =>
    Array.isArray(row) ? [String(row[row.indexOf('library_name') + 1])] : [],
  );
}
