/** Which keys, of which databases, the commands of a stream change. */
import { expect, it } from 'vitest';
import { Changes } from '../../../src/feed/changes.js';
import { placesByCommand } from '../../../src/redis/command-keys.js';

/** `db:key`, or `db:*` for everything. */
function heard(commands: readonly string[], db: number | 'unknown' = 0, guesses?: number[]) {
  const found: string[] = [];
  const reasons: string[] = [];
  const listener = {
    changed: (where: number, name: string) => found.push(`${String(where)}:${name}`),
    everything: (where: number | undefined, why: string) => {
      found.push(`${where === undefined ? '' : String(where)}:*`);
      reasons.push(why);
    },
  };
  const changes = new Changes(listener, placesByCommand(null), db === 'unknown' ? undefined : db);
  if (guesses) changes.guessFrom(guesses);
  for (const line of commands) changes.take(line.split(' '));
  return { found, reasons, db: changes.db };
}

it.each([
  ['SET a 1', ['0:a']],
  ['zAdD a 1 m', ['0:a']],
  ['DEL a b', ['0:a', '0:b']],
  ['MSET a 1 b 2', ['0:a', '0:b']],
  ['RENAME a b', ['0:a', '0:b']],
  ['SMOVE a b m', ['0:a', '0:b']],
  ['SUNIONSTORE to a b', ['0:to']],
  ['ZUNIONSTORE to 2 a b', ['0:to']],
  ['BITOP AND to a b', ['0:to']],
  ['SORT a STORE to', ['0:a', '0:to']],
  ['MOVE a 3', ['0:a', '3:a']],
  ['COPY a b', ['0:b']],
  ['COPY a b REPLACE DB 7', ['7:b']],
  ['COPY a b db 7', ['7:b']],
  ['COPY db db db 7', ['7:db']],
  ['MSETEX 2 a 1 b 2 EX 1', ['0:a', '0:b']],
  ['SWAPDB 1 2', ['1:*', '2:*']],
  ['FLUSHDB', ['0:*']],
  ['flushall ASYNC', [':*']],
  ['EVAL code 2 a b c', ['0:a', '0:b', '0:*']],
  ['EVALSHA sha 0', ['0:*']],
  ['FCALL f 1 a', ['0:a', '0:*']],
  ['JSON.SET a $ 1', [':*']],
  ['DEL', [':*']],
  ['constructor a', [':*']],
  ['PING', []],
  ['ping', []],
  ['REPLCONF GETACK *', []],
  ['MULTI', []],
  ['EXEC', []],
  ['PUBLISH a b', []],
  ['SPUBLISH a b', []],
  ['SCRIPT LOAD x', []],
  ['FUNCTION LOAD x', []],
])('%s', (line, found) => {
  expect(heard([line]).found).toEqual(found);
});

it('follows the database everywhere, within transactions too', () => {
  const { found, db } = heard(
    [
      'SET a 1',
      'SELECT 3',
      'SET b 1',
      'MULTI',
      'select 4',
      'SET c 1',
      'EXEC',
      'FLUSHDB',
      'SET d 1',
    ],
    2,
  );
  expect(found).toEqual(['2:a', '3:b', '4:c', '4:*', '4:d']);
  expect(db).toBe(4);
});

it('names a key in all databases that it may be in, until the stream says which', () => {
  const lines = ['SET a 1', 'MOVE b 5', 'COPY c d', 'FLUSHDB', 'SELECT 1', 'SET e 1'];
  const { found } = heard(lines, 'unknown', [0, 3]);
  expect(found).toEqual(['0:a', '3:a', '0:b', '3:b', '5:b', '0:d', '3:d', ':*', '1:e']);
  expect(heard(['SET a 1'], 'unknown', []).found).toEqual([':*']);
});

it('reports nothing ahead of the sign', () => {
  const found: string[] = [];
  const listener = {
    changed: (db: number, name: string) => found.push(`${String(db)}:${name}`),
    everything: (db: number | undefined) => found.push(`${String(db)}:*`),
  };
  const changes = new Changes(listener, placesByCommand(null), undefined);
  let seen = 0;
  changes.reportFrom('sign', 6, () => seen++);
  const early = [
    'SET a 1',
    'FLUSHALL',
    'SWAPDB 1 2',
    'EVAL x 1 a',
    'WHAT',
    'PUBLISH sign other',
    'FLUSHDB',
  ];
  for (const line of [
    ...early,
    'SELECT 6',
    'PUBLISH channel sign',
    'SET b 1',
    'PUBLISH channel sign',
  ]) {
    changes.take(line.split(' '));
  }
  expect(found).toEqual(['6:b']);
  expect(seen).toBe(1);
});

it('is in the database of the sign, though the stream was there already and does not say so', () => {
  const found: string[] = [];
  const listener = {
    changed: (db: number, name: string) => found.push(`${String(db)}:${name}`),
    everything: (db: number | undefined) => found.push(`${String(db)}:*`),
  };
  const changes = new Changes(listener, placesByCommand(null), undefined);
  changes.reportFrom('sign', 3, () => undefined);
  for (const line of ['SET a 1', 'PUBLISH channel sign', 'SET b 1']) changes.take(line.split(' '));
  expect(found).toEqual(['3:b']);
});

it('reports everything where a name is too long to be kept', () => {
  const found: unknown[] = [];
  const listener = {
    changed: (_: number, name: string) => found.push(name),
    everything: (db: number | undefined, why: string) => found.push([db, why]),
  };
  const changes = new Changes(listener, placesByCommand(null), 2);
  const why = 'a key was changed whose name is too long to be kept';
  changes.take(['DEL', 'a', undefined]);
  changes.take(['SET', 'b', undefined]);
  changes.take(['COPY', 'a', undefined, 'DB', '4']);
  expect(found).toEqual(['a', [2, why], 'b', [4, why]]);
  changes.take([undefined, 'a']);
  expect(found.at(-1)).toMatchObject([undefined, expect.stringContaining('unknown command')]);
});

it('shows no bytes of an unknown command that a terminal would obey', () => {
  expect(heard(['\u001b[2J\r\nx']).reasons).toEqual([
    'the source passed on the unknown command ??2j??x',
  ]);
});
