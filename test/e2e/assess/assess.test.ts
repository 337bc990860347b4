/** Assessing finds every pattern that a cluster would refuse, and invents none. */
import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import type { AssessReport } from '../../../src/assess/assess-report.js';
import { runCli, startCli } from '../../support/cli.js';
import { type Server, startServer } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';
import { expectedPatterns, playWorkload, unitCount } from '../../support/workload.js';

const stage = setStage();

async function assess(
  ...flags: string[]
): Promise<{ code: number | undefined; report: AssessReport }> {
  const words = ['assess', '--from', stage.source.address, '--json', ...flags];
  const { code, stdout, stderr } = await runCli(words);
  if (stdout === '') throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as AssessReport };
}

/** Whatever the machine does besides, it is no reason to end. */
const patient = ['--watch-latency', '1h'];

async function waitForMonitor({ client }: Server): Promise<void> {
  await waitFor('MONITOR', async () => /cmd=monitor/.test(String(await client.client('LIST'))));
}

/** What was run has left the server for whoever watches it. */
async function waitForDelivery({ client }: Server): Promise<void> {
  await waitFor('all to be sent to MONITOR', async () =>
    / omem=0 [^\n]*cmd=monitor/.test(String(await client.client('LIST'))),
  );
}

/** Until a signal ends it, once all has been seen. */
async function watching(work: () => Promise<void>, ...flags: string[]): Promise<AssessReport> {
  await stage.source.client.config('SET', 'client-output-buffer-limit', 'normal 0 0 0');
  const run = startCli([
    'assess',
    '--from',
    stage.source.address,
    '--watch',
    '1h',
    ...patient,
    ...flags,
    '--json',
  ]);
  await waitForMonitor(stage.source);
  await work();
  await waitForDelivery(stage.source);
  run.signal('SIGINT');
  const { stdout } = await run.done;
  return JSON.parse(stdout) as AssessReport;
}

it('finds what a cluster would refuse among 100,000 commands of 20 clients, and nothing else', async () => {
  const rounds = 1800;
  const report = await watching(() => playWorkload(stage.source, rounds * unitCount, 20));
  const found = (report.watch?.patterns ?? []).map(
    ({ trouble, kind, pattern }) => `${trouble ?? '-'} ${kind} ${pattern}`,
  );
  expect(found.sort()).toEqual([...expectedPatterns].sort());
  expect(report.watch?.commands).toBeGreaterThan(100_000);
  expect(new Set(report.watch?.patterns.map(({ count }) => count))).toEqual(new Set([rounds]));
  expect(report).toMatchObject({ status: 'cannot-move', case: 3 });
  const repairs = new Map(report.watch?.patterns.map(({ pattern, repair }) => [pattern, repair]));
  expect(repairs.get('SUNION user:<n>:a user:<n>:b')).toContain('user:{<n>}:a user:{<n>}:b');
  expect(repairs.get('MSET config:timeout page:home')).toContain('split the keys by slot');
  expect(repairs.get('SUNION follow:<name>:in follow:<name>:out')).toContain(
    'follow:{<name>}:in follow:{<name>}:out',
  );
  expect(report.watch).toMatchObject({
    endedBy: 'signal',
    databases: [{ db: 0 }, { db: 3 }],
    leftOut: { inTrouble: 0, others: 0 },
    cut: [],
  });
  const said = report.findings.filter(({ blocking }) => blocking).map(({ message }) => message);
  expect(said.join(' ')).toContain('db3 by 127.0.0.1 (20 connections)');
  // What was counted has all been seen, scripts' commands included.
  for (const { command, duringWatch, watched } of report.commandStats) {
    expect([command, watched]).toEqual([command, duringWatch]);
  }
});

it('tells who it was by what clients call themselves, and not by their ports', async () => {
  const { client, host, port } = stage.source;
  await client.call('ACL', 'SETUSER', 'jobs', 'on', 'nopass', '~*', '&*', '+@all');
  const open = (): Redis => new Redis({ host, port, lazyConnect: true });
  const clients = Array.from({ length: 4 }, open);
  const [web1, web2, jobs, nameless] = clients as [Redis, Redis, Redis, Redis];
  try {
    await Promise.all(clients.map((one) => one.connect()));
    await web1.client('SETNAME', 'web-1');
    await web2.client('SETNAME', 'web-2');
    await jobs.call('AUTH', 'jobs', '');
    const report = await watching(async () => {
      for (const one of clients) await one.mget('a', 'b');
      // It has gone by the end, and is known from the beginning.
      web2.disconnect();
    });
    expect(report.watch?.patterns[0]?.clients).toEqual([
      { host, name: 'web-<n>', connections: 2 },
      { host, user: 'jobs', connections: 1 },
      { host, connections: 1 },
    ]);
    expect(nameless.status).toBe('ready');
  } finally {
    for (const one of clients) one.disconnect();
    await client.call('ACL', 'DELUSER', 'jobs');
  }
});

it('tells the cases apart', async () => {
  const { client } = stage.source;
  await client.config('RESETSTAT');
  const one = await watching(async () => {
    await client.set('a', 1);
  });
  expect(one).toMatchObject({ case: 1, status: 'can-move' });
  const two = await watching(async () => {
    await client.mget('{a}:1', '{a}:2');
  });
  expect(two).toMatchObject({ case: 2, status: 'can-move' });
  const file = `${stage.source.directory}/case-3.html`;
  const three = await watching(
    async () => {
      await client.mget('k:1', 'k:2');
    },
    '--html',
    file,
  );
  expect(three).toMatchObject({ case: 3, status: 'cannot-move' });
  // What has to be changed is open, ahead of everything else.
  const page = await readFile(file, 'utf8');
  expect(page).toMatch(/<details open>[^]*MGET k:&#60;n&#62; k:&#60;n&#62;[^]*Keys by type/);
  expect(page.match(/<details open>/g)).toHaveLength(1);
});

it('does not say that what it has not seen can move', async () => {
  await stage.source.client.config('RESETSTAT');
  expect(await assess()).toMatchObject({ code: 0, report: { status: 'can-move', case: 1 } });
  await stage.source.client.mget('a', 'b');
  const { code, report } = await assess();
  expect(report.status).toBe('undecided');
  expect(report.commandStats).toMatchObject([{ command: 'mget', calls: 1, concern: 'multi-key' }]);
  expect(code).toBe(1);
});

it('is not content with a watch that did not see what was counted', async () => {
  const { client } = stage.source;
  await client.config('RESETSTAT');
  for (let nth = 0; nth < 5; nth++) await client.sunionstore('to', 'one', 'two');
  const report = await watching(async () => {
    await client.get('a');
  });
  expect(report.status).toBe('undecided');
  expect(report.case).toBeUndefined();
  expect(report.findings.map(({ message }) => message).join(' ')).toContain('sunionstore 5×');
  expect(report.commandStats).toMatchObject([{ command: 'sunionstore', calls: 5, watched: 0 }]);
});

it('takes blocking commands for what they are: of several keys', async () => {
  const { client } = stage.source;
  await client.config('RESETSTAT');
  await client.call('WAIT', 0, 1);
  expect((await assess()).report.status).toBe('can-move');
  await client.brpoplpush('a', 'b', 0.01);
  await client.blpop('x', 'y', 0.01);
  const { code, report } = await assess();
  expect(code).toBe(1);
  expect(report.status).toBe('undecided');
});

it.each([
  ['time', ['--watch', '1s', ...patient], async () => {}],
  [
    'limit',
    ['--watch', '1h', '--watch-limit', '10', ...patient],
    async () => {
      for (let nth = 0; nth < 20; nth++) await stage.source.client.get('a');
    },
  ],
  [
    'latency',
    ['--watch', '1h', '--watch-latency', '100'],
    async () => {
      await stage.source.client.client('PAUSE', 4000, 'ALL');
    },
  ],
] as const)('ends watching because of %s, and says so', async (reason, flags, work) => {
  const run = startCli(['assess', '--from', stage.source.address, '--json', ...flags]);
  await waitForMonitor(stage.source);
  await work();
  const report = JSON.parse((await run.done).stdout) as AssessReport;
  expect(report.watch?.endedBy).toBe(reason);
  if (reason === 'limit') expect(report.watch?.commands).toBe(10);
});

it('tells what was seen of a source that is lost meanwhile', async () => {
  const mortal = await startServer();
  try {
    await mortal.client.config('RESETSTAT');
    const run = startCli(['assess', '--from', mortal.address, '--watch', '1h', ...patient]);
    await waitForMonitor(mortal);
    await mortal.client.mset('a', 1, 'b', 2);
    await waitForDelivery(mortal);
    process.kill(mortal.pid, 'SIGKILL');
    const { code, stdout } = await run.done;
    expect(code).toBe(1);
    expect(stdout).toContain('MSET a b');
    expect(stdout).toMatch(/ended because +the source was lost/);
  } finally {
    await mortal.stop();
  }
});

it('says that keys behind very long arguments were not seen', async () => {
  const { client } = stage.source;
  await client.config('RESETSTAT');
  const report = await watching(async () => {
    await client.set('single', 'x'.repeat(600_000));
    await client.mset('first', 'x'.repeat(600_000), 'second', 1);
  });
  expect(report.watch?.cut).toEqual([{ command: 'mset', count: 1 }]);
  expect(report.status).toBe('undecided');
});

it.each([
  [['--from', '127.0.0.1:1', '--from', '127.0.0.1:2'], /--from can be given only once/],
  [['--from', '127.0.0.1:1', '--watch', '60'], /--watch .* 60 is 60 ms/],
  [['--from', '127.0.0.1:1', '--html', '/no/such/folder/a.html'], /--html can't be written/],
] as const)('refuses %j before it looks at anything', async (flags, sentence) => {
  const { code, stderr } = await runCli(['assess', ...flags]);
  expect(stderr).toMatch(sentence);
  expect(code).toBe(2);
});

it('does not take its own questions for those of the application', async () => {
  const { client } = stage.source;
  await client.set('a', 1);
  await client.select(1);
  await client.set('b', 1);
  await client.select(0);
  await client.config('RESETSTAT');
  await assess('--to', stage.cluster.seed);
  const { report } = await assess('--to', stage.cluster.seed);
  expect(report.status).toBe('can-move');
  expect(report.findings.map(({ message }) => message).join(' ')).not.toMatch(
    /randomkey|scan|dbsize/,
  );
});

it('knows calls of scripts that were those of an import, and only these', async () => {
  const { client } = stage.source;
  await client.script('FLUSH');
  await client.mset('a', 1, 'b', 2);
  await client.config('RESETSTAT');
  expect((await runCli([...stage.endpoints, '--mover', 'relay'])).code).toBe(0);
  const scripts = async (): Promise<unknown> =>
    (await assess()).report.commandStats.filter(({ concern }) => concern === 'script');
  expect(await scripts()).toMatchObject([{ command: 'evalsha', own: true }]);
  // Nothing was counted that an import does not do.
  const alone = (await assess('--watch', '1s', ...patient)).report;
  expect(alone).toMatchObject({ status: 'can-move', case: 1 });
  expect(alone.findings.map(({ message }) => message).join(' ')).toMatch(
    /counted \(.*unlink \d+×.*\).* taken for an import's/,
  );
  // Beside an application's own what the import asked for can't be told from what that asks for.
  await client.get('a');
  const { report } = await assess();
  expect(report.findings.map(({ message }) => message).join(' ')).toMatch(
    /used \(.*unlink \d+×.*\).* An import has worked here/,
  );
  expect(report.findings.map(({ message }) => message).join(' ')).not.toContain('evalsha');
  await client.eval('return 1', 0);
  const after = (await assess()).report;
  expect(after.commandStats.filter(({ own }) => own)).toEqual([]);
  expect(after.findings.map(({ message }) => message).join(' ')).toContain('evalsha');
  // Whoever lets the server forget scripts may have had some.
  await client.script('FLUSH');
  await client.mset('a', 1, 'b', 2);
  expect((await runCli([...stage.endpoints, '--mover', 'relay', '--replace'])).code).toBe(0);
  expect((await assess()).report.commandStats.filter(({ own }) => own)).toEqual([]);
});

it('says that a cluster holds keys, which an import would refuse', async () => {
  const { client } = stage.source;
  await client.config('RESETSTAT');
  await client.set('a', 1);
  const empty = await assess('--to', stage.cluster.seed);
  expect(empty.report.findings.map(({ message }) => message).join(' ')).not.toContain('holds');
  expect(empty.report.nodes?.map(({ keys }) => keys)).toEqual([0, 0, 0]);
  for (const key of ['one', 'two', 'three']) await stage.cluster.clientFor(key).set(key, 1);
  const { code, report } = await assess('--to', stage.cluster.seed);
  const [finding = ''] = report.findings.flatMap(({ message }) =>
    message.includes('already holds') ? [message] : [],
  );
  const refusal = await runCli([...stage.endpoints]);
  const [said = ''] = /The cluster already holds 3 keys/.exec(refusal.stderr) ?? [];
  expect(refusal.code).toBe(2);
  expect(said).not.toBe('');
  expect(finding).toContain(said);
  for (const way of ['--replace', '--no-replace', '--follow']) expect(finding).toContain(way);
  for (const { address, keys } of report.nodes ?? []) {
    if (keys > 0) expect(finding).toContain(`${String(keys)} on ${address}`);
  }
  expect(report.nodes?.reduce((sum, { keys }) => sum + keys, 0)).toBe(3);
  expect(code).toBe(0);
});

it('finds the one name that two databases share, whichever of 20,000 it is', async () => {
  const { client } = stage.source;
  const fill = async (db: number, prefix: string): Promise<void> => {
    await client.select(db);
    const script =
      "for i = 1, 20000 do redis.call('set', ARGV[1] .. i, 1) end return redis.call('set', 'same', 1)";
    await client.eval(script, 0, prefix);
  };
  await fill(1, 'one:');
  await fill(0, 'two:');
  const { report } = await assess('--sample', '10');
  expect(report.data.collisions).toMatchObject([{ key: 'same', databases: [0, 1] }]);
  expect(report.data.compared).toMatchObject([{ names: 20_001, keys: 20_001 }]);
  expect(report.status).toBe('cannot-move');
});

it('does not take sizes that it may not ask for as nothing', async () => {
  const { client } = stage.source;
  const node = stage.cluster.masters[0];
  await client.set('big', 'x'.repeat(20_000_000));
  await client.call('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '+@all', '-memory');
  await node?.client.config('SET', 'maxmemory', '1mb');
  const words = ['assess', '--to', stage.cluster.seed, '--json', '--from'];
  try {
    const { stdout } = await runCli([...words, `redis://limited:secret@${stage.source.address}`]);
    const report = JSON.parse(stdout) as AssessReport;
    expect(report.data.sizesBy).toBe('used_memory');
    expect(report.data.meanBytes).toBeGreaterThan(20_000_000);
    expect(report.findings.map(({ message }) => message).join(' ')).toContain('MEMORY USAGE');
  } finally {
    await node?.client.config('SET', 'maxmemory', '0');
    await client.call('ACL', 'DELUSER', 'limited');
  }
});

it('tells of the data, and where it would go', async () => {
  const { client } = stage.source;
  await client.config('RESETSTAT');
  await client.set('text', 'x'.repeat(100_000), 'EX', 1000);
  for (let at = 0; at < 60; at++) await client.rpush(`{tag}:list:${String(at)}`, 1, 2, 3);
  await client.select(3);
  await client.set('text', 'other');
  await client.select(0);
  const file = `${stage.source.directory}/report.html`;
  const { report } = await assess('--to', stage.cluster.seed, '--html', file);
  expect(report.data.databases).toEqual([
    { db: 0, keys: 61, expiring: 1 },
    { db: 3, keys: 1, expiring: 0 },
  ]);
  expect(report.data.collisions).toEqual([{ key: 'text', keyEncoding: 'utf8', databases: [0, 3] }]);
  expect(report.data.largest.map(({ type }) => type).join(' ')).toBe(
    'string string list list list',
  );
  expect(report.plan).toMatchObject({ mover: 'auto' });
  expect(report.plan?.estimate?.values).toBeGreaterThan(0);
  expect(report.plan?.estimate?.bytes).toBeGreaterThan(100_000);
  expect(report.data.types[0]?.type).toBe('list');
  expect(report.data.loadedSlots[0]?.shape).toBe('{tag}:list:<n>');
  expect(report.nodes?.length).toBe(3);
  expect(report.nodes?.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  expect(report.status).toBe('cannot-move');
  const page = await readFile(file, 'utf8');
  expect(page).toContain('{tag}:list:&#60;n&#62;');
  expect(page).toContain(report.takenAt.slice(0, 10));
  expect(page).toContain('<h1>✗ Can’t move as it is</h1>');
  expect(page).toContain('<h2>What to do</h2>');
  expect(page).toMatch(/<details>[^]*<summary>Databases/);
  expect(page).not.toMatch(/<script|src=|href=/);
});
