/** What an import makes of values that the cluster has already: done where they are equal, else left alone. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { snapshot, snapshotOfAll } from '../../support/compare.js';
import { setFolder } from '../../support/folder.js';
import { saveTo } from '../../support/rdb.js';
import { runJson, verifyJson } from '../../support/reports.js';
import { type Server, startServer } from '../../support/servers.js';
import { forgetRuns } from '../../support/state.js';
import { deadlineMs, run, valueTypes } from './rows.js';
import { findKinds } from './servers.js';

const path = setFolder();
/** One that is compared in slices, one by one side's elements, and one in many parts. */
const large = valueTypes.filter(({ type }) => ['string', 'hash', 'stream'].includes(type));

describe.each(await findKinds())('with $name', ({ binary, fieldDeadlines }) => {
  let source: Server;
  let cluster: TestCluster;
  const version = binary === undefined ? {} : { binary };
  beforeAll(async () => {
    [source, cluster] = await Promise.all([startServer(version), startCluster(version)]);
  });
  afterAll(() => Promise.all([source.stop(), cluster.stop()]));
  beforeEach(async () => {
    forgetRuns();
    await Promise.all([source.client.flushall(), cluster.flush()]);
  });
  const ends = (): string[] => ['--from', source.address, '--to', cluster.seed];

  it.each(['relay', 'migrate'])(
    'by %s, large values that were built in another order are done, and no conflicts',
    async (mover) => {
      for (const { type, build, rebuild } of large) {
        await run(source.client, build(type, 'large'));
        await run(cluster.clientFor(type), rebuild(type, 'large'));
      }
      const { code, report } = await runJson([...ends(), '--no-replace', '--mover', mover]);
      expect(report.failures).toEqual([]);
      expect(code).toBe(0);
      expect(report.keys).toMatchObject({ moved: large.length });
      expect(await source.client.dbsize()).toBe(0);
    },
  );

  if (!fieldDeadlines) return;

  /** Two hashes that are equal, but for a deadline that one has. */
  async function plant(isAtSource: boolean): Promise<void> {
    for (const client of [source.client, cluster.clientFor('hash')]) {
      await client.hset('hash', 'a', 1, 'b', 2);
    }
    const client = isAtSource ? source.client : cluster.clientFor('hash');
    await client.call('HPEXPIREAT', 'hash', deadlineMs, 'FIELDS', 1, 'a');
  }

  describe.each([
    ['the source', true],
    ['the cluster', false],
  ])('a hash with a deadline of a field that only %s has', (_, isAtSource) => {
    it.each(['relay', 'migrate'])('is a conflict, by %s', async (mover) => {
      await plant(isAtSource);
      const { code, report } = await runJson([...ends(), '--no-replace', '--mover', mover]);
      expect(report.failures).toEqual([
        expect.objectContaining({ key: 'hash', class: 'conflict' }),
      ]);
      expect(code).toBe(1);
      const left = await source.client.call('HPEXPIRETIME', 'hash', 'FIELDS', 1, 'a');
      expect(left).toEqual([isAtSource ? deadlineMs : -1]);
    });

    it('is a conflict, from a dump', async () => {
      await plant(isAtSource);
      const before = await snapshotOfAll(cluster.masters.map(({ client }) => client));
      const file = await saveTo(path('dump.rdb'), source);
      const words = ['--from', file, '--to', cluster.seed, '--no-replace'];
      const { code, report } = await runJson(words);
      expect(report.failures).toEqual([
        expect.objectContaining({ key: 'hash', class: 'conflict' }),
      ]);
      expect(code).toBe(1);
      expect(await snapshotOfAll(cluster.masters.map(({ client }) => client))).toEqual(before);
    });

    it('is a difference', async () => {
      await plant(isAtSource);
      const { code, report } = await verifyJson(ends());
      expect(report.differences).toEqual([
        expect.objectContaining({ kind: 'value', message: 'the deadline of field "a" differs' }),
      ]);
      expect(code).toBe(1);
    });
  });

  it('a hash with the same deadlines of its fields is done', async () => {
    await plant(true);
    await cluster.clientFor('hash').call('HPEXPIREAT', 'hash', deadlineMs, 'FIELDS', 1, 'a');
    const before = await snapshot(source.client);
    const { code } = await runJson([...ends(), '--no-replace']);
    expect(code).toBe(0);
    expect(before.size).toBe(1);
    expect(await source.client.dbsize()).toBe(0);
  });
});
