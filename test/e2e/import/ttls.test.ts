/** Deadlines are kept, and what expires on the way is accounted for. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { snapshot } from '../../support/compare.js';
import { whenListed } from '../../support/hold.js';
import { type Proxy, startProxy } from '../../support/proxy.js';
import { reportOf, runJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
let proxy: Proxy;
beforeEach(async () => {
  proxy = await startProxy(stage.source);
});
afterEach(() => proxy.stop());

const throughProxy = (...more: string[]) => [
  ...['--from', proxy.address, '--to', stage.cluster.seed, '--json', '--quiet'],
  ...more,
];

it.each(['relay', 'migrate'])('%s keeps deadlines of every length', async (mover) => {
  const { client } = stage.source;
  const lengthsMs = [300_000, 900_000, 3_600_000, 86_400_000, 10 ** 11, 10 ** 13];
  for (const lengthMs of lengthsMs) {
    await client.set(`string:${String(lengthMs)}`, 'x', 'PX', lengthMs);
    await client.hset(`hash:${String(lengthMs)}`, 'field', 'x');
    await client.pexpire(`hash:${String(lengthMs)}`, lengthMs);
  }
  await client.set('string:forever', 'x');
  await client.hset('hash:forever', 'field', 'x');
  const before = await snapshot(client);
  expect((await runJson([...stage.endpoints, '--mover', mover])).code).toBe(0);
  expect(await stage.missingIn(before)).toEqual([]);
});

it('does not stretch TTLs while the cluster is busy', async () => {
  const { client } = stage.source;
  await client.set('string', 'x', 'PX', 600_000);
  await client.hset('hash', 'field', 'x');
  await client.pexpire('hash', 600_000);
  const before = await snapshot(client);
  const held = whenListed(proxy, 'hash', async () => {
    for (const node of stage.cluster.masters) await node.client.client('PAUSE', 2500);
  });
  const { code } = reportOf(await runCli(throughProxy('--mover', 'relay')));
  await held;
  expect(code).toBe(0);
  expect(await stage.missingIn(before)).toEqual([]);
});

it('does not stretch TTLs whose question arrived in two parts', async () => {
  const { client } = stage.source;
  // What is asked at one time is more than one read from a socket takes.
  const filling = client.pipeline();
  for (let at = 0; at < 2000; at++) {
    filling.set(`${'long'.repeat(100)}:${String(at)}`, 'x', 'PX', 600_000 + at);
  }
  await filling.exec();
  const before = await snapshot(client);
  let torn = 0;
  proxy.faults.corrupt = (chunk, direction) => {
    const text = chunk.toString('latin1');
    const ttls = text.split('PTTL').length - 1;
    const endsAmidTtls = ttls > 100 && text.lastIndexOf('TIME') < text.indexOf('PTTL');
    if (direction === 'down' || !endsAmidTtls || torn++ > 0) return chunk;
    proxy.stall();
    setTimeout(() => {
      proxy.resume();
    }, 2500);
    return chunk;
  };
  const { code, report } = reportOf(await runCli(throughProxy('--mover', 'relay')));
  expect(torn).toBeGreaterThan(0);
  expect(code).toBe(0);
  expect(report.keys).toMatchObject({ scanned: 2000, moved: 2000 });
  expect(await stage.missingIn(before)).toEqual([]);
});

it('counts a key that expires between being listed and being read as gone', async () => {
  const { client } = stage.source;
  await client.mset({ one: '1', two: '2', three: '3' });
  await client.set('short', 'x', 'EX', 1000);
  const held = whenListed(proxy, 'short', async () => {
    await client.pexpire('short', 1);
    await waitFor('the key to expire', async () => (await client.exists('short')) === 0);
  });
  const { code, report } = reportOf(await runCli(throughProxy('--mover', 'relay')));
  await held;
  expect(code).toBe(0);
  expect(report.keys).toMatchObject({ scanned: 4, moved: 3, gone: 1 });
  expect(await stage.cluster.size()).toBe(3);
});

it('counts a key that was deleted, one by one, by migrate too', async () => {
  const { client } = stage.source;
  await client.mset({ one: '1', two: '2', short: '3' });
  const held = whenListed(proxy, 'short', async () => {
    await client.del('short');
  });
  const { code, report } = reportOf(await runCli(throughProxy('--mover', 'migrate')));
  await held;
  expect(code).toBe(0);
  expect(report.keys).toMatchObject({ scanned: 3, moved: 2, gone: 1 });
  expect(await stage.cluster.size()).toBe(2);
});
