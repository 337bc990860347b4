/** What values of any size take in memory: what is in flight is bounded in bytes, not only in keys. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { fillStrings } from '../../support/bulk.js';
import { reportOf } from '../../support/reports.js';
import { runCli } from '../../support/cli.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
const megabyte = 1024 * 1024;
const limitBytes = 250e6;
const preload = new URL('../../support/tell-peak.mjs', import.meta.url).href;

/** @returns how much memory the run took at most. */
async function peakOf(keys: number): Promise<number> {
  const words = [...stage.endpoints, '--mover', 'relay', '--timeout', '10m'];
  const result = await runCli([...words, '--json', '--quiet'], {
    NODE_OPTIONS: `--import ${preload}`,
  });
  expect(reportOf(result).report.keys).toMatchObject({ moved: keys });
  const kilobytes = /peak memory: (\d+) kB/.exec(result.stderr)?.[1];
  return Number(kilobytes) * 1024;
}

it('lets a value of 400 MB pass without holding it', async () => {
  const { client } = stage.source;
  await client.setrange('large', 400 * megabyte - 16, randomBytes(16));
  const tail = await client.getrangeBuffer('large', -1000, -1);
  expect(await peakOf(1)).toBeLessThan(limitBytes);
  const node = stage.cluster.clientFor('large');
  expect(await node.strlen('large')).toBe(400 * megabyte);
  expect(await node.getrangeBuffer('large', -1000, -1)).toEqual(tail);
});

it('is ready for large values behind tiny ones', async () => {
  const { client } = stage.source;
  await fillStrings(stage.source, { count: 20_000, valueBytes: 16 });
  const value = randomBytes(10 * megabyte);
  for (let at = 0; at < 40; at++) await client.set(`large:${String(at)}`, value);
  // Held, they would take 400 MB more. How much of what has passed is not collected yet is the machine's affair.
  expect(await peakOf(20_040)).toBeLessThan(limitBytes + 100 * megabyte);
});
