/** Keys leave the source only once a replica has them, and waiting for it holds up nothing else. */
import { expect, it } from 'vitest';
import { fillMixed, mixedKey } from '../../support/bulk.js';
import { differences, snapshotOf } from '../../support/compare.js';
import { runJson } from '../../support/reports.js';
import { runCli } from '../../support/cli.js';
import { keysAt } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage({ cluster: { replicasPerMaster: 1 } });
/** Many batches side by side, whose answers must not be taken for each other's. */
const count = 30_000;
const sample = Array.from({ length: 600 }, (_, at) => Buffer.from(mixedKey(at * 50).key));

it.each([
  ['by default', []],
  ['without the guard', ['--no-guard']],
] as const)('they are waited for, and nothing has to be tried twice, %s', async (_, flags) => {
  await fillMixed(stage.source, count);
  const before = await snapshotOf(sample, () => stage.source.client);
  const { code, report } = await runJson([...stage.endpoints, ...flags]);
  expect(code).toBe(0);
  expect(report.moverReason).toContain('MIGRATE does not wait for replicas');
  expect(report.keys.moved).toBe(count);
  expect(report.retries).toBe(0);
  expect(await stage.source.client.dbsize()).toBe(0);
  expect(await keysAt(stage.cluster.replicas.flat())).toBe(count);
  const after = await snapshotOf(sample, (key) => stage.cluster.clientFor(key));
  expect(differences(before, after)).toEqual([]);
});

it('is found out beforehand to be forbidden, or not to be had', async () => {
  const rules = ['reset', 'on', '>pass', '~*', '+@all', '-wait', '-acl'];
  for (const { client } of stage.cluster.masters)
    await client.call('ACL', 'SETUSER', 'ann', ...rules);
  await stage.source.client.set('key', 'value');
  const from = ['--from', stage.source.address];
  const forbidden = await runCli([...from, '--to', `redis://ann:pass@${stage.cluster.seed}`]);
  expect(forbidden.stderr).toMatch(/user ann run WAIT: allow it with ACL SETUSER ann \+wait\./);
  const absent = await runCli([...stage.endpoints, '--wait-fsync']);
  expect(absent.stderr).toMatch(/no command WAITAOF .*--wait-fsync/);
  const [seed] = stage.cluster.masters;
  await waitFor('the seed to hear of all replicas', async () => {
    const lines = String(await seed?.client.call('CLUSTER', 'NODES')).match(/ slave /g);
    return lines?.length === stage.cluster.replicas.flat().length;
  });
  const tooMany = await runCli([...stage.endpoints, '--wait-replicas', '2']);
  expect(tooMany.stderr).toMatch(/--wait-replicas 2 can't be kept, as [\d.:]+ has 1 replica: /);
  expect([forbidden.code, absent.code, tooMany.code]).toEqual([2, 2, 2]);
  expect(await stage.source.client.get('key')).toBe('value');
});
