/** A source and a cluster that both want passwords: values still find their way, by both movers. */
import { expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';

const passwords = { from: 'of the source', to: 'of%20the cluster"' };
const stage = setStage({
  source: { config: [`requirepass "${passwords.from}"`] },
  cluster: { config: [`requirepass '${passwords.to}'`] },
});
const env = {
  CLUSTER_IMPORT_FROM_PASSWORD: passwords.from,
  CLUSTER_IMPORT_TO_PASSWORD: passwords.to,
};

it.each(['relay', 'migrate'])('%s logs in to both', async (mover) => {
  const count = await fillEveryType(stage.source.client);
  const before = await snapshot(stage.source.client);
  const { code, report } = await runJson([...stage.endpoints, '--mover', mover], env);
  expect(code).toBe(0);
  expect(report.keys.moved).toBe(count);
  expect(await stage.missingIn(before)).toEqual([]);
});

it.each(['relay', 'migrate'])('%s with users of its own, from the endpoints', async (mover) => {
  for (const { client } of [stage.source, ...stage.cluster.masters]) {
    await client.acl('SETUSER', 'mover', 'on', '>s3cret@:/', '~*', '&*', '+@all');
  }
  await stage.source.client.set('key', 'value');
  const as = (address: string) => `redis://mover:${encodeURIComponent('s3cret@:/')}@${address}`;
  const { code, stdout, stderr } = await runCli([
    ...['--from', as(stage.source.address), '--to', as(stage.cluster.seed), '--mover', mover],
  ]);
  expect(code).toBe(0);
  expect(stdout + stderr).not.toContain('s3cret');
  expect(await stage.cluster.size()).toBe(1);
});

it('refuses to start without the password of the cluster', async () => {
  await stage.source.client.set('key', 'value');
  const { code, stderr } = await runCli(stage.endpoints, {
    CLUSTER_IMPORT_FROM_PASSWORD: passwords.from,
  });
  expect(stderr).toContain('CLUSTER_IMPORT_TO_PASSWORD');
  expect(code).toBe(2);
  expect(await stage.source.client.dbsize()).toBe(1);
});
