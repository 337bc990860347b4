/**
 * Sources that rename or forbid commands, and ones that tell less of themselves than Redis does:
 * what is missing is done without where that can be, and named where it can't.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { guardScript } from '../../../src/movers/relay/guard-by-counter.js';
import { runCli } from '../../support/cli.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { differences, snapshot, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { startProxy } from '../../support/proxy.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer, using } from '../../support/servers.js';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.stop());
beforeEach(() => cluster.flush());

const lacking = (...commands: string[]) =>
  startServer({ config: commands.map((name) => `rename-command ${name} ""`) });

async function expectMove(source: Server, address = source.address, ...more: string[]) {
  await Promise.all([source.client.flushall(), cluster.flush()]);
  await fillEveryType(source.client);
  const before = await snapshot(source.client);
  const { code, report } = await runJson(['--from', address, '--to', cluster.seed, ...more]);
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  const found = await snapshotOfAll(cluster.masters.map((node) => node.client));
  expect(differences(before, found)).toEqual([]);
  expect(await source.client.dbsize()).toBe(0);
  return report;
}

async function expectRefusal(source: Server, sentence: RegExp, ...more: string[]): Promise<void> {
  await source.client.set('key', 'value');
  const args = ['--from', source.address, '--to', cluster.seed, ...more];
  const { code, stderr, stdout } = await runCli(args);
  expect(stderr).toMatch(sentence);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect([code, stdout]).toEqual([2, '']);
  expect(await source.client.get('key')).toBe('value');
}

const calls = async (source: Server, command: string): Promise<number> => {
  const stats = await source.client.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
};

describe('commands that a source does without', () => {
  it.each([
    [['UNLINK']],
    [['EVALSHA']],
    [['SCRIPT']],
    [['MIGRATE']],
    [['COMMAND']],
    [['CONFIG']],
    [['TIME']],
    [['UNLINK', 'COMMAND']],
    [['EVAL', 'EVALSHA', 'SCRIPT', 'MIGRATE', 'COMMAND', 'CONFIG', 'KEYS', 'UNLINK']],
  ])('%j', async (commands) => {
    await using(lacking(...commands), (source) => expectMove(source));
  });

  it('takes WATCH where there are no scripts', async () => {
    await using(lacking('SCRIPT'), async (source) => {
      await expectMove(source);
      expect(await calls(source, 'watch')).toBeGreaterThan(1);
    });
    await using(startServer(), async (source) => {
      await expectMove(source);
      expect(await calls(source, 'evalsha')).toBeGreaterThan(1);
    });
  });

  it('MIGRATE, when it is asked for', async () => {
    await using(lacking('MIGRATE'), async (source) => {
      await expectRefusal(source, /--mover migrate.*MIGRATE.*--mover relay/, '--mover', 'migrate');
    });
  });
});

describe('commands that can not be done without', () => {
  it.each([['SCAN'], ['DUMP'], ['PTTL'], ['MGET'], ['DBSIZE']])('%s', async (name) => {
    await using(lacking(name), (source) =>
      expectRefusal(source, new RegExp(`${source.address}.* no command ${name}`)),
    );
  });

  it('INFO', async () => {
    // Without it ioredis takes no connection for ready, so this one is not asked by the test.
    await using(lacking('INFO'), async ({ address }) => {
      const { code, stderr } = await runCli(['--from', address, '--to', cluster.seed]);
      expect(stderr).toContain(`${address} has no command INFO`);
      expect(code).toBe(2);
    });
  });

  it('both ways to delete', async () => {
    await using(lacking('UNLINK', 'DEL'), (source) => expectRefusal(source, /no command DEL/));
  });

  it('both guards, unless nobody writes', async () => {
    await using(lacking('SCRIPT', 'WATCH'), async (source) => {
      await expectRefusal(source, /neither scripts nor WATCH.*--no-guard/);
      await expectMove(source, source.address, '--no-guard');
    });
  });
});

describe('a source that counts no writes', () => {
  it('keeps its keys whatever the guard script is told', async () => {
    await using(startServer(), async ({ client }) => {
      for (const field of [
        'rdb_changes_since_last_save',
        'rdb_last_save_time',
        'rdb_bgsave_in_progress',
      ]) {
        const script = guardScript.replace(field, 'not_there');
        for (const told of ['', '0', 'NaN', 'nil']) {
          await client.set('key', 'value');
          for (const saves of ['', ' ', '0 0', 'nil 0']) {
            await client.eval(script, 1, 'key', told, saves, 'DEL').catch(() => undefined);
          }
          expect(await client.exists('key')).toBe(1);
        }
      }
    });
  });

  it('is moved from under WATCH (a mock: a proxy hides the field, as Dragonfly lacks it)', async () => {
    await using(startServer(), async (source) => {
      await using(startProxy(source), async (proxy) => {
        proxy.faults.corrupt = (chunk) =>
          Buffer.from(
            chunk.toString('latin1').replaceAll('rdb_changes_since', 'xdb_changes_since'),
            'latin1',
          );
        await expectMove(source, proxy.address, '--mover', 'relay');
        expect(await calls(source, 'watch')).toBeGreaterThan(1);
      });
    });
  });

  it('may call itself by other names (a mock: a proxy tells another version)', async () => {
    await using(startServer(), async (source) => {
      await using(startProxy(source), async (proxy) => {
        // As KeyDB does, which has none of what came with 7.0.
        proxy.faults.corrupt = (chunk) =>
          Buffer.from(
            chunk
              .toString('latin1')
              .replace(/redis_version:\d+\.\d+\.\d\d/, 'redis_version:6.3.4 '),
            'latin1',
          );
        await expectMove(source, proxy.address);
      });
    });
  });
});
