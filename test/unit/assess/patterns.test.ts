/** Patterns fold names, keep what is in trouble, and propose repairs that are true. */
import { expect, it } from 'vitest';
import { keyFinder } from '../../../src/redis/command-keys.js';
import { refusalOf } from '../../../src/assess/refusals.js';
import { joinShapes } from '../../../src/assess/key-shapes.js';
import { createWorkload, type Workload } from '../../../src/assess/workload.js';

const many = (name: string, step = 1) => [Buffer.from(name), 0, [], 1, -1, step];
const keysOf = keyFinder([many('sunion'), many('mget'), many('mset', 2), many('watch')]);

function played(lines: readonly string[], client = '1.1.1.1:1'): Workload {
  const workload = createWorkload(keysOf);
  for (const line of lines) workload.add({ db: 0, client, words: line.split(' ') });
  return workload;
}

const letters = (nth: number): string =>
  String(nth).replace(/\d/g, (digit) => String.fromCharCode(97 + Number(digit)));

it('folds names that many patterns differ by, and proposes them as the hash tag', () => {
  const lines = Array.from({ length: 3000 }, (_, nth) => {
    const name = letters(nth);
    return `SUNION follow:${name}:in follow:${name}:out`;
  });
  expect(played(lines).patterns()).toMatchObject([
    {
      pattern: 'SUNION follow:<name>:in follow:<name>:out',
      count: 3000,
      repair: 'give the keys a hash tag: follow:{<name>}:in follow:{<name>}:out',
    },
  ]);
});

it('folds two names that vary apart, and then proposes none of them', () => {
  const lines = Array.from({ length: 400 }, (_, nth) => {
    return `SUNION likes:${letters(nth * 7919)} likes:${letters(nth * 104729 + 3)}`;
  });
  const [pattern, ...others] = played(lines).patterns();
  expect(others).toEqual([]);
  expect(pattern).toMatchObject({ pattern: 'SUNION likes:<name> likes:<name>', count: 400 });
  expect(pattern?.repair).toContain('constant hash tag');
});

it('does not fold a few names, nor says that they have nothing in common', () => {
  const [one] = played(['SUNION follow:alice:in follow:alice:out']).patterns();
  expect(one).toMatchObject({
    pattern: 'SUNION follow:alice:in follow:alice:out',
    repair: 'give the keys a hash tag: follow:{alice}:in follow:{alice}:out',
  });
  const [few] = played(['SUNION config:a page:b']).patterns();
  expect(few?.repair).toBe(
    'the keys have no part in common: do it key by key, or give these few a hash tag',
  );
});

it('proposes to split what can be split, and no hash tag that would leave all to one node', () => {
  const of = (...lines: string[]): string => played(lines).patterns()[0]?.repair ?? '';
  const all = 'would put all of them into one slot, and one node would have all the work';
  expect(of('MGET k:1 k:2')).toMatch(/^split the keys by slot in the client: many cluster clients/);
  expect(of('MGET k:1 k:2')).toContain(`A constant hash tag ({k}:<n>) ${all}`);
  expect(of('MSET k:1 a k:2 b')).toContain('(MSET is not atomic then)');
  expect(of('MSET config:a 1 page:b 2')).toMatch(/^split the keys .* TOUCH$/);
  expect(of('MGET user:1:a user:1:b')).toBe(
    'give the keys a hash tag: user:{<n>}:a user:{<n>}:b; or split them by slot in the client',
  );
  // Neither can be split by anybody.
  for (const repair of [of('SUNION k:1 k:2'), of('MULTI', 'MGET k:1', 'MGET k:2', 'EXEC')]) {
    expect(repair).toMatch(/^what varies in the keys is not common to them: do it key by key/);
    expect(repair).toContain(all);
    expect(repair).not.toContain('split');
  }
});

it('never drops what is in trouble for what is not, and says what it left out', () => {
  const lines = Array.from({ length: 5000 }, (_, nth) => {
    const [a, b, c] = [nth, nth * 7, nth * 13].map(letters);
    return `MGET {${String(a)}}${String(b)} {${String(a)}}${String(c)}${String(b)}`;
  });
  const workload = played([...lines, 'SUNION one two']);
  const patterns = workload.patterns();
  expect(patterns[0]).toMatchObject({ pattern: 'SUNION one two', trouble: 'cross-slot' });
  const told = patterns.reduce((sum, { count }) => sum + count, 0);
  const { inTrouble, others } = workload.leftOut;
  expect([inTrouble, told + others]).toEqual([0, 5001]);
}, 20_000);

it('folds what a transaction does over and over', () => {
  const incrs = (times: number): string[] => Array<string>(times).fill('MGET a');
  const lines = [5, 6, 7].flatMap((times) => ['WATCH b', 'MULTI', ...incrs(times), 'EXEC']);
  expect(played(lines).patterns()).toMatchObject([
    { pattern: 'WATCH b; MGET a; MGET a; …', count: 3 },
  ]);
  expect(joinShapes(['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b', 'c'])).toBe('a b a b … c');
  expect(joinShapes(['a', 'b', 'a', 'b'])).toBe('a b a b');
});

it.each([
  ['SORT ids BY weight_* GET obj_*', 'SORT ids BY weight_* GET obj_*'],
  ['sort_ro ids get #', 'SORT_RO ids GET #'],
  ['SORT ids BY nosort STORE by', undefined],
  ['SORT ids STORE get', undefined],
  ['SORT ids BY get LIMIT 0 1', undefined],
  ['SELECT 0', undefined],
  ['select 3', 'SELECT 3'],
  ['MOVE key:1 2', 'MOVE key:<n> 2'],
  ['SWAPDB 0 1', 'SWAPDB 0 1'],
  ['PSUBSCRIBE news __keyspace@3__:user:7', 'PSUBSCRIBE __keyspace@<n>__:user:<n>'],
  ['SUBSCRIBE __keyevent@0__:expired', undefined],
  ['COPY a b REPLACE', undefined],
  ['COPY a b DB 0', undefined],
  ['COPY a b DB 1', 'COPY a b DB 1'],
])('knows of %s whether clusters refuse it', (words, pattern) => {
  expect(refusalOf(words.split(' '))?.pattern).toBe(pattern);
});

it('tells scripts apart, and those that are each written anew together', () => {
  const lines = Array.from({ length: 1500 }, (_, nth) => `EVAL return${String(nth)} 2 a b`);
  const patterns = played([...lines, 'EVALSHA ABC 2 a b', 'FCALL f 2 a b']).patterns();
  expect(patterns.find(({ script }) => script === 'others')?.count).toBe(500);
  expect(patterns.map(({ pattern }) => pattern)).toEqual(
    expect.arrayContaining(['EVALSHA abc a b', 'FCALL f a b', 'EVAL others a b']),
  );
});
