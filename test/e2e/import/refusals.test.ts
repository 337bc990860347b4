/**
 * What can't work is refused before the start: exit code 2, nothing moved, nothing on standard output,
 * and one sentence that says what to do.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { isWell } from '../../support/cluster.js';
import { freePort } from '../../support/ports.js';
import { runJson } from '../../support/reports.js';
import { giveUpSlots } from '../../support/reshard.js';
import { startServer, using } from '../../support/servers.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage();
const password = 'pass word %41/@:{}';

beforeEach(() => stage.source.client.set('key', 'value'));

async function expectRefusal(
  args: readonly string[],
  sentence: RegExp,
  env?: Readonly<Record<string, string>>,
): Promise<void> {
  const clusterBefore = await stage.cluster.size();
  const { code, stdout, stderr } = await runCli(args, env);
  expect(stderr).toMatch(sentence);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).not.toContain(password);
  expect(stderr).not.toContain('secret');
  expect(stdout).toBe('');
  expect(code).toBe(2);
  expect(await stage.cluster.size()).toBe(clusterBefore);
  expect(await stage.source.client.get('key')).toBe('value');
}

const from = (endpoint: string) => ['--from', endpoint, '--to', stage.cluster.seed];
const to = (endpoint: string) => ['--from', stage.source.address, '--to', endpoint];

describe('words', () => {
  it.each([
    [['--from', 'nonsense', '--to', '127.0.0.1:1'], /--from/],
    [['--from', '127.0.0.1:1', '--to', '127.0.0.1:99999'], /--to/],
    [['--from', 'http://127.0.0.1:1', '--to', '127.0.0.1:1'], /--from/],
    [['--from', '127.0.0.1:1'], /--to/],
    [['--to', '127.0.0.1:1'], /--from/],
    [['--from', '127.0.0.1:1', '--to', '127.0.0.1:1', '--nope'], /--nope/],
    [['--from', '127.0.0.1:1', '--to', '127.0.0.1:1', '--mover', 'teleport'], /--mover/],
    [['--from', '127.0.0.1:1', '--to', '127.0.0.1:1', 'surplus'], /argument/],
    [['imprt', '--from', '127.0.0.1:1'], /no verb "imprt"/],
    [['-v'], /'-v': cluster-import -V, or --version, tells/],
    [['asses', '--from', '127.0.0.1:1'], /no verb "asses", did you mean assess\?/],
    [['check', '127.0.0.1:1'], /write --to 127\.0\.0\.1:1; see cluster-import check/],
    [['verify', '127.0.0.1:1'], /write --from <endpoint> --to <endpoint>;/],
    [[], /pass --from <endpoint> and --to <endpoint>, or a verb; see cluster-import --help/],
    [['127.0.0.1:1', '127.0.0.1:2'], /write --from 127\.0\.0\.1:1 --to 127\.0\.0\.1:2; see/],
    [['redis://u:secret@h', '127.0.0.1:2'], /write --from <endpoint> --to <endpoint>; see/],
    [['--from', 'redis://h:1/0?x=1', '--to', 'h:1'], /something behind its database/],
    [['--from', 'h:1', '--to', 'h:1', '--timeout', '5'], /--timeout 5 is 5 ms: give its unit/],
    [['--form=redis://u:secret@h'], /'--form'; see/],
    [['--pass=pass word %41/@:{}'], /'--pass'/],
    [['--from', 'h', '--to', 'h', '--nat', 'redis://u:secret@h'], /--nat is not/],
    [['--from', 'h', '--to', 'h', '--replace', '--no-replace'], /--replace and --no-replace/],
    [['--from', '127.0.0.1:1', '--to', '127.0.0.1:1', '--report', '/no/such/file'], /--report/],
  ])('%j', async (args, sentence) => {
    await expectRefusal(args, sentence);
  });
});

describe('for programs', () => {
  it.each([
    [['--from', 'nonsense', '--to', '127.0.0.1:1']],
    [['--from', '127.0.0.1:1', '--to', '127.0.0.1:1', '--nope']],
    [['verify', '--from', 'nonsense', '--to', '127.0.0.1:1']],
    [['--from', 'nonsense', '--to', '127.0.0.1:1', '--log-format', 'json']],
  ])('%j is refused in JSON as well', async (args) => {
    const { code, stdout, stderr } = await runCli([...args, '--json']);
    expect(code).toBe(2);
    const { error, ...rest } = JSON.parse(stdout) as Readonly<Record<string, string>>;
    expect(rest).toMatchObject({ status: 'refused', exitCode: 2 });
    expect(stderr).toContain(error);
  });
});

it('a journal that can not be made is refused, and nothing hangs', async () => {
  const state = '/proc/no-such-folder/x/journal.json';
  await expectRefusal([...stage.endpoints, '--state', state], /journal|--state/);
});

describe('addresses', () => {
  it('of nobody', async () => {
    const nobody = `127.0.0.1:${String(await freePort())}`;
    await expectRefusal(from(nobody), new RegExp(`${nobody}.*--from`));
    await expectRefusal(to(nobody), new RegExp(`${nobody}.*--to`));
  });

  it('that are names of nothing', async () => {
    await expectRefusal(from('no-such-host.invalid:6379'), /no-such-host\.invalid.*--from/);
    await expectRefusal(to('no-such-host.invalid:6379'), /no-such-host\.invalid.*--to/);
  });

  it('of a source that is a node of the cluster', async () => {
    const [, second] = stage.cluster.masters;
    await expectRefusal(from(second?.address ?? ''), /node of the target cluster.*--from/);
    await expectRefusal(from(stage.cluster.seed), /--from/);
  });

  it('of a target that is no cluster', async () => {
    await using(startServer(), async (single) => {
      await expectRefusal(to(single.address), new RegExp(`${single.address}.*cluster`));
      expect(await single.client.dbsize()).toBe(0);
    });
    await expectRefusal(to(stage.source.address), /--from|--to|cluster/);
  });

  it('of a cluster whose slots are not all covered', async () => {
    await using(startServer({ config: ['cluster-enabled yes'] }), async (lonely) => {
      await expectRefusal(to(lonely.address), /slots|not ok|down/);
    });
  });

  it('of a cluster that is down, until it is well again', async () => {
    const owner = await stage.cluster.ownerOf(8000);
    await giveUpSlots(stage.cluster, owner, 8000);
    try {
      await expectRefusal(to(stage.cluster.seed), /[Ss]lot|not ok|down/);
    } finally {
      await owner.client.call('CLUSTER', 'ADDSLOTS', 8000);
      await Promise.all(stage.cluster.nodes.map(isWell));
    }
    expect((await runJson(stage.endpoints)).code).toBe(0);
  });
});

describe('passwords', () => {
  const locked = () => startServer({ config: [`requirepass "${password}"`] });

  it('that are missing or wrong', async () => {
    await using(locked(), async ({ address, client }) => {
      await client.set('key', 'value');
      await expectRefusal(from(address), /needs a password.*CLUSTER_IMPORT_FROM_PASSWORD/);
      await expectRefusal(from(address), /refuses the password/, {
        CLUSTER_IMPORT_FROM_PASSWORD: 'wrong',
      });
      await expectRefusal(from(`redis://:wrong@${address}`), /refuses the password/);
      await expectRefusal(to(address), /needs a password.*CLUSTER_IMPORT_TO_PASSWORD/);
      expect(await client.dbsize()).toBe(1);
    });
  });

  it('that are right are taken from the environment and from the endpoint', async () => {
    await using(locked(), async ({ address, client }) => {
      await client.set('key', 'value');
      const env = { CLUSTER_IMPORT_FROM_PASSWORD: password };
      const byEnvironment = await runJson([...from(address), '--copy'], env);
      expect(byEnvironment.code).toBe(0);
      await stage.cluster.flush();
      const endpoint = `redis://:${encodeURIComponent(password)}@${address}`;
      const byEndpoint = await runJson([...from(endpoint), '--copy']);
      expect(byEndpoint.code).toBe(0);
      expect(JSON.stringify([byEnvironment, byEndpoint])).not.toContain(password);
    });
  });
});

describe('a target with keys', () => {
  afterEach(() => stage.cluster.flush());

  it('needs a choice', async () => {
    await stage.cluster.clientFor('x').set('x', 'y');
    await expectRefusal(stage.endpoints, /1 key.*--replace.*--no-replace/);
    await expectRefusal([...stage.endpoints, '--copy'], /--replace/);
  });
});

describe('a replica', () => {
  const replica = (...config: string[]) =>
    startServer({
      config: [`replicaof ${stage.source.host} ${String(stage.source.port)}`, ...config],
    });

  it('can be copied, not moved, if it is read-only', async () => {
    await using(replica(), async ({ address, client }) => {
      await waitFor('the replica to follow', async () => (await client.exists('key')) === 1);
      await expectRefusal(from(address), new RegExp(`${address}.*read-only.*--copy`));
      const { code, report } = await runJson([...from(address), '--copy']);
      expect(code).toBe(0);
      expect(report.keys.moved).toBe(1);
      expect(await stage.source.client.get('key')).toBe('value');
    });
  });

  it('is moved if it takes writes, and it is said what that does not do', async () => {
    await using(replica('replica-read-only no'), async ({ address, client }) => {
      await waitFor('the replica to follow', async () => (await client.exists('key')) === 1);
      const { code, stderr } = await runCli(from(address));
      expect(code).toBe(0);
      expect(stderr).toMatch(new RegExp(`${address}.*replica that takes writes.*master`));
      expect(await client.exists('key')).toBe(0);
      expect(await stage.source.client.get('key')).toBe('value');
    });
  });
});
