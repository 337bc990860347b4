/**
 * Values of a module's type: named when the cluster lacks the module. Modules are not in the system's
 * packages, so this runs where REDIS_MODULE names one that was built from Redis' own
 * src/modules/hellotype.c.
 */
import { describe, expect, it } from 'vitest';
import { lackingModules, nameTypes } from '../../src/preflight/modules.js';
import { startCluster } from '../support/cluster.js';
import { runJson } from '../support/reports.js';
import { startServer, using } from '../support/servers.js';

const module = process.env['REDIS_MODULE'];

const suite =
  module === undefined ? 'left out: REDIS_MODULE names no module' : 'with a real module';
describe(suite, () => {
  if (module === undefined) {
    it(suite, () => {
      expect(process.env['REDIS_MODULE']).toBeUndefined();
    });
    return;
  }
  it.each(['relay', 'migrate'])('its keys stay, and are named, by %s', async (mover) => {
    await using(startServer({ config: [`loadmodule ${module}`] }), async (source) => {
      await using(startCluster(), async (cluster) => {
        await source.client.call('HELLOTYPE.INSERT', 'strange', 7);
        await source.client.set('usual', 'value');
        const { code, report } = await runJson([
          ...['--from', source.address, '--to', cluster.seed, '--mover', mover],
        ]);
        expect(code).toBe(1);
        expect(report.keys).toMatchObject({ moved: 1, failed: 1 });
        expect(report.warnings?.[0]).toMatch(/module that .* lack: hellotype\./);
        expect(report.failures[0]?.key).toBe('strange');
        expect(report.failures[0]?.message).toMatch(/type is hellotype/);
        expect(await source.client.exists('strange')).toBe(1);
      });
    });
  });
});

describe('with mocks', () => {
  it('says which modules are lacking where', () => {
    const nodes = [
      { address: 'a:1', modules: new Set(['ReJSON', 'search']) },
      { address: 'b:2', modules: new Set(['search']) },
    ];
    expect(lackingModules(new Set(['ReJSON', 'search']), nodes)).toMatch(/b:2 lacks: ReJSON\./);
    expect(lackingModules(new Set(['search']), nodes)).toBeUndefined();
  });

  it('names the type of what a node could make no sense of', async () => {
    const asked: unknown[] = [];
    const control = {
      call: (...words: unknown[]) => Promise.resolve(asked.push(words) && 'ReJSON-RL'),
    } as never;
    const failure = {
      key: 'doc',
      keyEncoding: 'utf8',
      class: 'version',
      message: 'a:1 answered: ERR Bad data format',
    } as const;
    const other = { ...failure, message: 'a:1 answered: OOM' };
    const named = await nameTypes([failure, other], control);
    expect(named[0]?.message).toMatch(/^its type is ReJSON-RL, which the node does not know/);
    expect(named[1]).toEqual(other);
    expect(asked).toEqual([['TYPE', Buffer.from('doc')]]);
  });
});
