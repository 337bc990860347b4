/**
 * Users with the least rights: what docs/access.md lists is enough, for each side and mover, and what is
 * missing is found before the start.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCli, startCli } from '../../support/cli.js';
import { fillEveryType } from '../../support/every-type.js';
import type { AssessReport } from '../../../src/assess/assess-report.js';
import { runJson, verifyJson } from '../../support/reports.js';
import { snapshot } from '../../support/compare.js';
import { setStage } from '../../support/stage.js';

const stage = setStage();
/** What a URL, a shell, a printf or a careless encoding would trip over. */
const password = `pä ss"wörd' %41/@:{}#?\\`;
const env = {
  CLUSTER_IMPORT_FROM_PASSWORD: password,
  CLUSTER_IMPORT_TO_PASSWORD: password,
};

const scripts = ['+evalsha', '+script|load'];
const watch = ['+watch', '+unwatch', '+multi', '+exec'];

/** The table of that page. */
const source = {
  copy: listed('source, `--copy`'),
  move: [...listed('source, `--copy`'), '+unlink', ...scripts, ...watch],
  migrate: [...listed('source, `--copy`'), ...listed('source, migrate')],
  elements: listed('source, element by element'),
  verify: listed('source, `--verify`'),
  follow: [...listed('source, `--copy`'), ...listed('source, `--follow`'), '&cluster-import:*'],
};
const node = {
  relay: without(listed('nodes, relay'), '+wait'),
  migrate: [...without(listed('nodes, relay'), '+wait'), ...listed('nodes, migrate')],
  elements: listed('nodes, element by element'),
  verify: [...listed('source, `--verify`'), ...listed('nodes, `--verify`')],
  follow: [...without(listed('nodes, relay'), '+wait'), ...listed('nodes, `--follow`')],
};

/** The commands that a row of it lists; those that this server does not have can't be allowed. */
function listed(side: string): readonly string[] {
  const page = readFileSync(
    fileURLToPath(new URL('../../../docs/access.md', import.meta.url)),
    'utf8',
  );
  const row = page.split('\n').find((line) => line.startsWith(`| ${side} `)) ?? '';
  const [, , commands = ''] = row.replaceAll('\\|', '¦').split('|');
  const rules = [...commands.matchAll(/\+[a-z¦]+/g)].map(([rule]) => rule.replaceAll('¦', '|'));
  if (rules.length === 0) throw new Error(`docs/access.md lists no rights of: ${side}`);
  return without(rules, '+hpexpiretime', '+hpexpireat');
}

const from = (user: string) => `redis://${user}@${stage.source.address}`;
const to = (user: string) => `redis://${user}@${stage.cluster.seed}`;

async function setUsers(
  sourceRules: readonly string[],
  nodeRules: readonly string[],
  { atSource = ['~*'], atNodes = ['~*'] }: Readonly<Record<string, readonly string[]>> = {},
) {
  const rules = (own: readonly string[], keys: readonly string[]) => [
    ...['reset', 'on', `>${password}`],
    ...keys,
    ...own,
  ];
  await stage.source.client.call('ACL', 'SETUSER', 'joe', ...rules(sourceRules, atSource));
  for (const { client } of stage.cluster.masters) {
    await client.call('ACL', 'SETUSER', 'ann', ...rules(nodeRules, atNodes));
  }
}

beforeEach(() => stage.source.client.flushall());

async function expectMove(args: readonly string[]): Promise<void> {
  await fillEveryType(stage.source.client);
  const before = await snapshot(stage.source.client);
  const { code, report, stderr } = await runJson(
    ['--from', from('joe'), '--to', to('ann'), ...args],
    env,
  );
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  // Of streams' consumers not all times can be kept element by element.
  const isSplit = args.includes('--split-above');
  const missing = (await stage.missingIn(before)).filter(
    (words) => !isSplit || !/^"stream/.test(words),
  );
  expect(missing).toEqual([]);
  expect(JSON.stringify(report) + stderr).not.toContain('wörd');
}

async function expectRefusal(sentence: RegExp, args: readonly string[] = []): Promise<void> {
  await stage.source.client.set('key', 'value');
  const { code, stderr, stdout } = await runCli(
    ['--from', from('joe'), '--to', to('ann'), ...args],
    env,
  );
  expect(stderr).toMatch(sentence);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect([code, stdout]).toEqual([2, '']);
  expect(await stage.source.client.get('key')).toBe('value');
  expect(await stage.cluster.size()).toBe(0);
}

function without(rules: readonly string[], ...gone: readonly string[]): readonly string[] {
  return rules.filter((rule) => !gone.includes(rule));
}

describe('the least rights', () => {
  it('to copy', async () => {
    await setUsers(source.copy, node.relay);
    await expectMove(['--copy']);
  });

  it('to move by relay', async () => {
    await setUsers(source.move, node.relay);
    await expectMove([]);
    expect(await stage.source.client.dbsize()).toBe(0);
  });

  it('to move by relay where scripts are forbidden', async () => {
    await setUsers(without(source.move, ...scripts), node.relay);
    await expectMove([]);
    expect(await stage.source.client.dbsize()).toBe(0);
  });

  it('to move by MIGRATE', async () => {
    await setUsers(source.migrate, node.migrate);
    await expectMove(['--mover', 'migrate']);
    expect(await stage.source.client.dbsize()).toBe(0);
  });

  it('to move element by element', async () => {
    const besides = [...source.elements, ...watch];
    await setUsers([...source.move, ...besides], [...node.relay, ...node.elements]);
    await expectMove(['--split-above', '1']);
    expect(await stage.source.client.dbsize()).toBe(0);
  });

  it('to verify what is moved', async () => {
    await setUsers([...source.move, ...source.verify], [...node.relay, ...node.verify]);
    await expectMove(['--verify']);
    expect(await stage.source.client.dbsize()).toBe(0);
  });

  it('to follow the source, to go on with that, and to cut over', async () => {
    await setUsers(source.follow, node.follow);
    await fillEveryType(stage.source.client);
    await stage.source.client.set('deleted', 'later');
    const words = ['--from', from('joe'), '--to', to('ann'), '--follow'];
    const first = startCli(words, env);
    await first.output(/follows the source\./);
    first.signal('SIGINT');
    const { stderr, code } = await first.done;
    expect(stderr).not.toContain('WARNING');
    expect(code).toBe(130);
    await stage.source.client.del('deleted');
    const before = await snapshot(stage.source.client);
    try {
      const { report, ...second } = await runJson([...words, '--cutover', 'auto'], env);
      expect([second.code, report.warnings]).toEqual([0, undefined]);
      expect(report.follow?.cutover).toMatchObject({ fence: 'pause', source: 'refuses writes' });
      expect(await stage.missingIn(before)).toEqual([]);
    } finally {
      await stage.source.client.config('SET', 'min-replicas-to-write', 0);
    }
  });

  it('DEL serves where UNLINK is forbidden', async () => {
    await setUsers([...without(source.move, '+unlink'), '+del'], node.relay);
    await expectMove([]);
    expect(await stage.source.client.dbsize()).toBe(0);
  });
});

describe('a user who may use keys of some names', () => {
  const temporary = '~cluster-import:*';
  const restricted = { atSource: ['~app:*'], atNodes: ['~app:*', temporary] };
  const words = (): string[] => ['--from', from('joe'), '--to', to('ann'), '--match', 'app:*'];

  beforeEach(async () => {
    const { client } = stage.source;
    for (const name of ['app', 'other']) {
      await client.set(`${name}:string`, 'value');
      await client.hset(`${name}:hash`, { field: 'value' });
      await client.rpush(`${name}:list`, ...Array.from({ length: 500 }, String));
    }
  });

  async function expectApp(prefix = ''): Promise<void> {
    const { client } = stage.source;
    expect((await client.keys('*')).sort()).toEqual(['other:hash', 'other:list', 'other:string']);
    expect(await stage.cluster.size()).toBe(3);
    const name = `${prefix}app:list`;
    expect(await stage.cluster.clientFor(name).llen(name)).toBe(500);
  }

  it('moves these', async () => {
    await setUsers(source.move, node.relay, restricted);
    const { report, code, stderr } = await runJson(words(), env);
    expect([report.failures, stderr, code]).toEqual([[], '', 0]);
    await expectApp();
  });

  it('moves them by MIGRATE', async () => {
    await setUsers(source.migrate, node.migrate, restricted);
    const { report, code } = await runJson([...words(), '--mover', 'migrate'], env);
    expect([report.failures, code]).toEqual([[], 0]);
    await expectApp();
  });

  it('moves them under other names', async () => {
    await setUsers(source.move, node.relay, { ...restricted, atNodes: ['~0:app:*', temporary] });
    const { report, code } = await runJson([...words(), '--key-prefix', '0:'], env);
    expect([report.failures, code]).toEqual([[], 0]);
    await expectApp('0:');
  });

  it('moves them element by element, and verified', async () => {
    const rights = [...source.move, ...source.elements, ...source.verify];
    await setUsers(rights, [...node.relay, ...node.elements, ...node.verify], restricted);
    const flags = ['--split-above', '1', '--verify'];
    const { report, code } = await runJson([...words(), ...flags], env);
    expect([report.failures, code]).toEqual([[], 0]);
    await expectApp();
  });

  it('moves one whose name is given', async () => {
    await setUsers(source.move, node.relay, restricted);
    const given = ['--from', from('joe'), '--to', to('ann'), '--match', 'app:list'];
    const { report, code } = await runJson(given, env);
    expect([report.failures, code, report.keys.moved]).toEqual([[], 0, 1]);
  });

  it('is told of what keeps keys that are written to', async () => {
    await setUsers(source.move, node.relay, { ...restricted, atNodes: ['~app:*'] });
    const { report, code } = await runJson(words(), env);
    expect(report.warnings).toEqual([
      expect.stringMatching(/does not let user ann use the keys cluster-import:\*, so what is/),
    ]);
    expect([report.failures, code]).toEqual([[], 0]);
    await expectApp();
  });

  it('follows them, and cuts over', async () => {
    await setUsers(source.follow, node.follow, restricted);
    const flags = ['--follow', '--cutover', 'auto'];
    try {
      const { report, code } = await runJson([...words(), ...flags], env);
      expect([report.failures, code]).toEqual([[], 0]);
      expect(await stage.cluster.size()).toBe(3);
    } finally {
      await stage.source.client.config('SET', 'min-replicas-to-write', 0);
    }
  });

  it('assesses them', async () => {
    const assessing = [...source.copy, '+randomkey', '+memory|usage', '+module', '+function'];
    await setUsers(assessing, node.relay, restricted);
    const given = ['assess', '--from', from('joe'), '--to', to('ann'), '--json'];
    const { stdout } = await runCli([...given, '--match', 'app:*'], env);
    const { findings, plan } = JSON.parse(stdout) as AssessReport;
    expect(
      findings.filter(({ blocking, message }) => blocking || /pass --match/.test(message)),
    ).toEqual([]);
    expect(plan?.ways?.map(({ type, keys }) => [type, keys]).sort()).toEqual([
      ['hash', 1],
      ['list', 1],
      ['string', 1],
    ]);
    const all = await runCli(given, env);
    expect((JSON.parse(all.stdout) as AssessReport).findings).toContainEqual(
      expect.objectContaining({
        message: expect.stringContaining(
          'look at 3 of the 6 sampled keys: pass --match',
        ) as unknown,
      }),
    );
  });

  it('verifies them', async () => {
    await setUsers(source.move, node.relay, restricted);
    await runJson([...words(), '--copy'], env);
    await setUsers([...source.copy, ...source.verify], [...node.verify, ...node.follow], {
      ...restricted,
      atNodes: ['~app:*'],
    });
    const { report, code } = await verifyJson(words(), env);
    expect(report).toMatchObject({ status: 'equal', keys: { compared: 3 } });
    expect(code).toBe(0);
  });

  it('is refused other names, at either side', async () => {
    const { move } = source;
    await setUsers(move, node.relay, { ...restricted, atSource: ['~apps:*'] });
    await expectRefusal(/let user joe use the keys app:\*: .*ACL SETUSER joe ~app:\*\./, [
      ...['--match', 'app:*'],
    ]);
    await setUsers(move, node.relay, { ...restricted, atNodes: ['~apps:*'] });
    await expectRefusal(/let user ann use the keys app:\*: /, ['--match', 'app:*']);
    await setUsers([...move, ...source.verify], [...node.relay, ...node.verify], {
      ...restricted,
      atNodes: ['~app:*'],
    });
    await expectRefusal(/use the keys app:\* and cluster-import:\*: /, [
      ...['--match', 'app:*', '--verify'],
    ]);
  });
});

describe('what is missing is named, with what would allow it', () => {
  const line = (user: string, rules: string) =>
    new RegExp(`user ${user} .*ACL SETUSER ${user} ${rules}[ .,]`);

  it.each([
    ['+scan', '\\+scan'],
    ['+dump', '\\+dump'],
    ['+pttl', '\\+pttl'],
    ['+info', '\\+info'],
    ['+dbsize', '\\+dbsize'],
    ['+unlink', '\\+del'],
  ])('at the source: %s', async (rule, words) => {
    await setUsers(without(source.move, rule), node.relay);
    await expectRefusal(line('joe', words));
  });

  it.each([
    ['+set', '\\+set'],
    ['+restore', '\\+restore'],
    ['+del', '\\+del'],
    ['+cluster|slots', '\\+cluster\\|slots'],
  ])('at the nodes: %s', async (rule, words) => {
    await setUsers(source.move, without(node.relay, rule));
    await expectRefusal(line('ann', words));
  });

  it('several at once, in one line', async () => {
    await setUsers(without(source.move, '+dump', '+pttl'), node.relay);
    await expectRefusal(/run DUMP, PTTL: allow it with ACL SETUSER joe \+dump \+pttl\./);
  });

  it('keys', async () => {
    await setUsers(['resetkeys', '~some:*', ...source.move], node.relay);
    await expectRefusal(/user joe use every key: .*ACL SETUSER joe ~\*/);
  });

  it('both guards', async () => {
    await setUsers(without(source.move, ...scripts, ...watch), node.relay);
    await expectRefusal(/user joe run neither scripts nor WATCH.*\+evalsha.*--no-guard/);
    await expectMove(['--no-guard', '--replace']);
  });

  it('what only MIGRATE needs, when it is asked for', async () => {
    await setUsers(without(source.migrate, '+migrate'), node.migrate);
    await expectRefusal(line('joe', '\\+migrate'), ['--mover', 'migrate']);
    await setUsers(source.migrate, node.relay);
    await expectRefusal(line('ann', '\\+select'), ['--mover', 'migrate']);
  });

  it('what only --verify needs, when that is asked for', async () => {
    const all = [...source.move, ...source.verify];
    const allOfNode = [...node.relay, ...node.verify];
    await setUsers(without(all, '+scard'), allOfNode);
    await expectRefusal(line('joe', '\\+scard'), ['--verify']);
    await setUsers(all, without(allOfNode, '+renamenx', '+persist'));
    await expectRefusal(line('ann', '\\+persist \\+renamenx'), ['--verify']);
  });

  it('what only values in slices need, when that is asked for', async () => {
    const all = [...source.move, ...source.elements];
    const allOfNode = [...node.relay, ...node.elements];
    const split = ['--split-above', '64mb'];
    await setUsers(without(all, '+hscan', '+xrange'), allOfNode);
    await expectRefusal(line('joe', '\\+hscan \\+xrange'), split);
    await expectRefusal(line('joe', '\\+hscan \\+xrange'), ['--max-source-latency', '500']);
    await setUsers(without(all, '+memory|usage', '+llen'), allOfNode);
    await expectRefusal(line('joe', '\\+memory\\|usage'), split);
    await setUsers(all, without(allOfNode, '+rename', '+append'));
    await expectRefusal(line('ann', '\\+append \\+rename'), split);
    await setUsers(all, without(allOfNode, '+multi'));
    await expectRefusal(line('ann', '\\+multi'), split);
  });

  it('what only a cutover needs, before anything is followed', async () => {
    await setUsers(without(source.follow, '+client|pause'), node.follow);
    const pause = line('joe', '\\+client\\|pause \\+client\\|unpause');
    await expectRefusal(pause, ['--follow']);
    await setUsers([...without(source.follow, '+client|pause'), '+acl|dryrun'], node.follow);
    await expectRefusal(pause, ['--follow']);
    await setUsers(without(source.follow, '+config|set'), node.follow);
    const refuse = line('joe', '\\+config\\|get \\+config\\|set');
    await expectRefusal(refuse, ['--follow', '--fence', 'refuse']);
    expect(await stage.source.client.info('clients')).not.toMatch(/paused_reason:[^n]/);
  });

  it('by ACL DRYRUN where that may be asked', async () => {
    await setUsers([...without(source.move, '+pttl'), '+acl|dryrun'], node.relay);
    await expectRefusal(line('joe', '\\+pttl'));
    const dryRuns = await stage.source.client.info('commandstats');
    expect(dryRuns).toMatch(/cmdstat_acl\|dryrun:calls=[1-9]/);
  });
});
