/** Files of Redis 8 and Valkey 9, into clusters of either. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { contentsOf } from '../../matrix/contents.js';
import { runCli } from '../../support/cli.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { differences } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { setFolder } from '../../support/folder.js';
import { saveTo } from '../../support/rdb.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer, using } from '../../support/servers.js';
import { forgetRuns } from '../../support/state.js';
import { withTools } from '../../support/tools.js';
import { waitFor } from '../../support/wait.js';

const path = setFolder();
const hour = 3_600_000;
/** Which `fillEveryType` does not make. */
const withDeadlines = 'fields with deadlines';

withTools(['redis-8', 'valkey-9'], "files of today's servers", (tools) => {
  describe.each([
    ['redis-8', 'valkey-9'],
    ['valkey-9', 'redis-8'],
    ['valkey-9', 'valkey-9'],
  ] as const)('of %s, into %s', (from, to) => {
    let source: Server;
    let cluster: TestCluster;

    beforeAll(async () => {
      source = await startServer({ binary: tools[from] });
      cluster = await startCluster({ binary: tools[to], masters: 2 });
      await fillEveryType(source.client, 'older');
      await source.client.hset(withDeadlines, 'a', '1', 'b', '2');
      await source.client.call('HPEXPIRE', withDeadlines, hour, 'FIELDS', 1, 'a');
    });
    afterAll(() => Promise.all([source.stop(), cluster.stop()]));
    beforeEach(async () => {
      forgetRuns();
      await cluster.flush();
    });

    async function expectAll(): Promise<void> {
      const held = await contentsOf([source]);
      expect(differences(held, await contentsOf(cluster.masters))).toEqual([]);
      const at = cluster.clientFor(withDeadlines);
      const left = (await at.call('HPTTL', withDeadlines, 'FIELDS', 2, 'a', 'b')) as number[];
      expect(left[0]).toBeGreaterThan(hour - 300_000);
      expect(left[1]).toBe(-1);
    }

    it('a dump is imported without a server, but for what only one of them knows', async () => {
      const file = await saveTo(path('dump.rdb'), source);
      const count = await source.client.dbsize();
      const { code, report } = await runJson(['--from', file, '--to', cluster.seed]);
      if (from === to) {
        expect(report.failures).toEqual([]);
        expect(code).toBe(0);
        await expectAll();
        return;
      }
      expect(report.keys).toMatchObject({ moved: count - 1, failed: 1 });
      expect(report.warnings?.join()).toMatch(
        /, written by (Redis 8|Valkey 9)[\d.]+ has a value in a form that not all nodes know \(1 of type hash\)/,
      );
      expect(report.failures).toEqual([
        expect.objectContaining({
          key: withDeadlines,
          class: 'version',
          message: expect.stringContaining(
            'a server as new as the file, named in --redis-server',
          ) as unknown,
        }),
      ]);
      const { stdout, stderr } = await runCli(['--from', file, '--to', cluster.seed, '--replace']);
      expect(stdout + stderr).toMatch(/failed +1 +not in the cluster/);
    });

    /** All that is in the file is in the cluster, where the file's server is named. */
    async function expectImported(file: string): Promise<void> {
      const words = ['--from', file, '--to', cluster.seed, '--redis-server', tools[from]];
      const { code, report } = await runJson(words);
      expect(report.failures).toEqual([]);
      expect(code).toBe(0);
      await expectAll();
    }

    it('a dump is imported as a whole where its server is named', async () => {
      const file = await saveTo(path('dump.rdb'), source);
      await expectImported(file);
    });

    it('so is an append-only file', async () => {
      await source.client.config('SET', 'appendonly', 'yes');
      const folder = join(source.directory, 'appendonlydir');
      await waitFor('the append-only file', async () => {
        const info = await source.client.info('persistence');
        return /aof_rewrite_in_progress:0/.test(info) && readdirSync(folder).length > 2;
      });
      await source.client.config('SET', 'appendonly', 'no');
      await expectImported(folder);
    });
  });

  it('servers are called by their names', async () => {
    await using(startServer({ binary: tools['valkey-9'] }), async (source) => {
      await source.client.hset('hash', 'a', '1');
      await using(startCluster({ binary: tools['redis-8'], masters: 1 }), async (cluster) => {
        const ends = ['--from', source.address, '--to', cluster.seed];
        const { stdout } = await runCli(['assess', ...ends, '--json']);
        expect(JSON.parse(stdout)).toMatchObject({
          source: { product: 'Valkey', version: expect.stringMatching(/^9\./) as unknown },
          nodes: [{ product: 'Redis', version: expect.stringMatching(/^8\./) as unknown }],
        });
        // Its script engine is no module that anybody lacks.
        expect(stdout).not.toContain('lacks');
        const { report } = await runJson(ends);
        expect(report.warnings ?? []).toEqual([]);
      });
    });
  });
});
