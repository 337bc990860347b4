import { describe, expect, it } from 'vitest';
import { PreflightError } from '../../../src/errors.js';
import { defaultStatePath } from '../../../src/journal/state-folder.js';
import { type Job, parseState, serializeState } from '../../../src/journal/journal.js';
import { earlierState } from '../../support/earlier-state.js';

const job: Job = {
  from: ['10.0.0.5:6379/0'],
  to: '10.0.1.1:7000',
  mode: 'move',
  clusterNodes: { ids: new Set(['two', 'three']), addresses: ['10.0.1.1:7000', '10.0.1.2:7000'] },
  selection: '{}',
  held: { sourceKeys: 200_000, clusterKeys: 0 },
};
const good = earlierState({ clusterNodes: ['one', 'two'] });
const changed = (change: object): string => JSON.stringify({ ...good, ...change });

it('reads what it wrote', () => {
  expect(parseState(serializeState(good), 'file', job)).toEqual(good);
});

it('knows a cluster by any node that is still there, whatever the seed', () => {
  expect(parseState(serializeState(good), 'file', { ...job, to: 'other:1' })).toEqual(good);
});

it('knows a cluster by its addresses where either start was not told the ids', () => {
  const read = (clusterNodes: readonly string[], ids: Job['clusterNodes']['ids']) => () =>
    parseState(changed({ clusterNodes }), 'file', {
      ...job,
      clusterNodes: { ...job.clusterNodes, ids },
    });
  expect(read(['one', '10.0.1.2:7000'], undefined)).not.toThrow();
  expect(read(['10.0.1.2:7000'], new Set(['two']))).not.toThrow();
  // Set up anew at the same addresses.
  expect(read(['one', '10.0.1.2:7000'], new Set(['two']))).toThrow('another cluster');
  expect(read(['10.0.1.3:7000'], new Set(['two']))).toThrow('another cluster');
});

describe('refuses, naming the file and the way out,', () => {
  it.each([
    ['nothing', '', 'is damaged'],
    ['half of it', serializeState(good).slice(0, 100), 'is damaged'],
    ['what is no object', '[]', 'is damaged'],
    ['a negative count', changed({ moved: -1 }), 'is damaged'],
    ['a missing field', changed({ replace: undefined }), 'is damaged'],
    ['a malformed cursor', changed({ scans: { a: { cursor: 'x', server: '' } } }), 'is damaged'],
    ['another format', '{"keys":[]}', 'is not one of cluster-import'],
    ['another version', changed({ formatVersion: 2 }), 'another version'],
    ['another source', changed({ from: ['10.0.0.6:6379/0'] }), 'from 10.0.0.6:6379/0'],
    ['another database', changed({ from: ['10.0.0.5:6379/1'] }), 'from 10.0.0.5:6379/1'],
    ['another cluster', changed({ clusterNodes: ['four'] }), 'into another cluster'],
    ['a copy', changed({ mode: 'copy' }), 'copies keys, and this one moves them'],
  ])('%s', (_, text, words) => {
    const read = () => parseState(text, '/some/where.json', job);
    expect(read).toThrow(PreflightError);
    expect(read).toThrow(words);
    expect(read).toThrow(/\/some\/where\.json .*--state, or delete it/);
  });
});

describe('the default place', () => {
  const home = { XDG_STATE_HOME: '/state' };

  it('is in the user’s folder for such things', () => {
    expect(defaultStatePath(job, home)).toMatch(
      /^\/state\/cluster-import\/10\.0\.0\.5_6379_0--10\.0\.1\.1_7000-[0-9a-f]{8}\.json$/,
    );
    expect(defaultStatePath(job, {}, 'linux')).toContain('/.local/state/cluster-import/');
    expect(defaultStatePath(job, {}, 'darwin')).toContain('/Library/Application Support/');
    expect(defaultStatePath(job, { LOCALAPPDATA: 'C:/Local' }, 'win32')).toContain('C:/Local');
  });

  it('differs for every job, even where names are cut', () => {
    const long = 'a'.repeat(300);
    const paths = [
      job,
      { ...job, mode: 'copy' as const },
      { ...job, from: ['10.0.0.5:6379/1'] },
      { ...job, from: ['10.0.0.5_6379_0'] },
      { ...job, from: [`${long}:1/0`] },
      { ...job, from: [`${long}:2/0`] },
    ].map((one) => defaultStatePath(one, home));
    expect(new Set(paths).size).toBe(paths.length);
    for (const path of paths) expect(path.length).toBeLessThan(230);
  });
});
