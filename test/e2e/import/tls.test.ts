/** TLS on either side: verified by default, on both planes alike. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, type Certificate, createAuthority } from '../../support/certificates.js';
import { runCli } from '../../support/cli.js';
import { startCluster, type TestCluster } from '../../support/cluster.js';
import { differences, snapshot, snapshotOfAll } from '../../support/compare.js';
import { fillEveryType } from '../../support/every-type.js';
import { runJson } from '../../support/reports.js';
import { type Server, startServer, using } from '../../support/servers.js';

let authority: Authority;
let certificate: Certificate;
let source: Server;
let cluster: TestCluster;
let plainCluster: TestCluster;

beforeAll(async () => {
  authority = await createAuthority();
  certificate = await authority.sign(['127.0.0.1']);
  const tls = { authority, certificate };
  [source, cluster, plainCluster] = await Promise.all([
    startServer({ tls, config: ['tls-cluster yes'] }),
    startCluster({ tls }),
    startCluster(),
  ]);
});
afterAll(() => Promise.all([source, cluster, plainCluster].map((one) => one.stop())));

const secure = (address: string) => `rediss://${address}`;
const fromTls = () => ['--from', secure(source.address), '--from-tls-ca', authority.certFile];
const toTls = () => ['--to', secure(cluster.seed), '--to-tls-ca', authority.certFile];

describe('both sides', () => {
  it.each(['relay', 'migrate', 'auto'])('with --mover %s', async (mover) => {
    await Promise.all([source.client.flushall(), cluster.flush()]);
    await fillEveryType(source.client);
    const before = await snapshot(source.client);
    const { code, report } = await runJson([...fromTls(), ...toTls(), '--mover', mover]);
    expect(code).toBe(0);
    const after = await snapshotOfAll(cluster.masters.map((node) => node.client));
    expect(differences(before, after)).toEqual([]);
    expect(await source.client.dbsize()).toBe(0);
    expect(report.warnings).toBeUndefined();
  });
});

describe('one side', () => {
  it('a plain source to a TLS-only cluster takes the relay by itself', async () => {
    await cluster.flush();
    await using(startServer(), async (plain) => {
      await plain.client.set('key', 'value');
      const args = ['--from', plain.address, ...toTls()];
      const refused = await runCli([...args, '--mover', 'migrate']);
      expect(refused.stderr).toMatch(/--mover migrate.*tls-cluster.*--mover relay/);
      expect(refused.code).toBe(2);
      expect(await plain.client.dbsize()).toBe(1);
      const { code, report } = await runJson(args);
      expect(code).toBe(0);
      expect(report.mover).toBe('relay');
      expect(report.moverReason).toMatch(/tls-cluster/);
      expect(await cluster.clientFor('key').get('key')).toBe('value');
    });
  });

  it('a TLS source to a plain cluster', async () => {
    await source.client.flushall();
    await source.client.set('key', 'value');
    const args = [...fromTls(), '--to', plainCluster.seed];
    // Its MIGRATE would speak TLS to nodes that don't.
    const refused = await runCli([...args, '--mover', 'migrate']);
    expect(refused.stderr).toMatch(/--mover migrate.*tls-cluster/);
    expect(refused.code).toBe(2);
    const { code } = await runJson(args);
    expect(code).toBe(0);
    expect(await plainCluster.clientFor('key').get('key')).toBe('value');
  });
});

it('goes for those sources that speak TLS', async () => {
  await using(startServer(), async (plain) => {
    await source.client.flushall();
    await source.client.set('one', 1);
    await plain.client.set('two', 2);
    const both = [...fromTls(), '--from', plain.address];
    const { code, report } = await runJson([...both, ...toTls(), '--replace']);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    const ca = ['--from-tls-ca', authority.certFile];
    const { stderr } = await runCli(['--from', plain.address, ...ca, ...toTls()]);
    expect(stderr).toMatch(`--from ${plain.address} does not ask for TLS: write it as rediss://`);
  });
});

describe('what can not be trusted', () => {
  async function expectRefusal(args: readonly string[], sentence: RegExp): Promise<void> {
    const { code, stdout, stderr } = await runCli(args);
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect([code, stdout]).toEqual([2, '']);
  }
  const from = (address: string, ...more: string[]) => [
    ...['--from', secure(address), ...more],
    ...['--to', plainCluster.seed],
  ];
  const ca = () => ['--from-tls-ca', authority.certFile] as const;
  const serving = (names: readonly string[], expired?: 'expired') =>
    authority
      .sign(names, expired)
      .then((one) => startServer({ tls: { authority, certificate: one } }));

  it('an authority that is not known', async () => {
    await expectRefusal(from(source.address), /127\.0\.0\.1.*not accepted.*--from-tls-ca/);
    await expectRefusal(
      [...fromTls(), '--to', secure(cluster.seed)],
      /127\.0\.0\.1.*not accepted.*--to-tls-ca/,
    );
  });

  it('another name, unless it is the one to expect', async () => {
    await using(serving(['redis.example.com']), async ({ address, client }) => {
      await expectRefusal(from(address, ...ca()), /is for another name.*--from-tls-servername/);
      const named = ['--from-tls-servername', 'redis.example.com'];
      await client.set('named', '1');
      const { code } = await runJson([...from(address, ...ca(), ...named), '--replace']);
      expect(code).toBe(0);
      expect(await client.dbsize()).toBe(0);
      const wrong = ['--from-tls-servername', 'other.example.com'];
      await expectRefusal(
        from(address, ...ca(), ...wrong),
        /another name than other\.example\.com/,
      );
    });
  });

  it('a certificate of the past', async () => {
    await using(serving(['127.0.0.1'], 'expired'), async ({ address }) => {
      await expectRefusal(from(address, ...ca()), /expired.*renew/);
    });
  });

  it('a server without TLS, and one with nothing else', async () => {
    const impatient = ['--timeout', '3s'];
    await expectRefusal(from(plainCluster.seed, ...impatient), /speaks TLS .*--from redis:/);
    await expectRefusal(
      ['--from', source.address, '--to', plainCluster.seed],
      /if it requires TLS, write --from rediss:/,
    );
  });

  it('may be used all the same, and is said loudly', async () => {
    await using(serving(['redis.example.com']), async ({ address, client }) => {
      await client.set('insecure', '1');
      const args = [...from(address, '--from-tls-insecure'), '--replace'];
      const { code, report, stderr } = await runJson(args);
      expect(code).toBe(0);
      expect(stderr).toMatch(/--from-tls-insecure: .*not checked/);
      expect(report.warnings).toEqual([expect.stringMatching(/--from-tls-insecure/)]);
      expect(await client.dbsize()).toBe(0);
    });
  });

  it('files that are not what they should be', async () => {
    const { keyFile, certFile } = certificate;
    const other = await authority.sign(['127.0.0.1']);
    const { address } = source;
    await expectRefusal(from(address, '--from-tls-ca', '/no/such/file'), /--from-tls-ca can't be/);
    await expectRefusal(from(address, '--from-tls-ca', keyFile), /--from-tls-ca does not hold/);
    await expectRefusal(from(address, '--from-tls-cert', certFile), /-cert and --from-tls-key/);
    await expectRefusal(
      from(address, '--from-tls-cert', certFile, '--from-tls-key', other.keyFile),
      /--from-tls-key does not hold the private key of that certificate/,
    );
    await expectRefusal(
      ['--from', address, '--from-tls-ca', authority.certFile, '--to', plainCluster.seed],
      /--from-tls-….*rediss:/,
    );
  });
});

describe('a server that wants a certificate of its clients', () => {
  it('gets one', async () => {
    const tls = { authority, certificate };
    await using(startServer({ tls }), async ({ address, client }) => {
      await client.set('mutual', '1');
      await client.config('SET', 'tls-auth-clients', 'yes');
      const args = ['--from', secure(address), '--from-tls-ca', authority.certFile];
      const to = ['--to', plainCluster.seed, '--replace'];
      const refused = await runCli([...args, ...to]);
      expect(refused.stderr).toMatch(/requires a client certificate: .*--from-tls-cert/);
      expect(refused.code).toBe(2);
      const ours = await authority.sign(['client']);
      const mutual = ['--from-tls-cert', ours.certFile, '--from-tls-key', ours.keyFile];
      expect((await runJson([...args, ...mutual, ...to])).code).toBe(0);
      expect(await client.dbsize()).toBe(0);
    });
  });
});
