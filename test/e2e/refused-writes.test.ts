/**
 * A source that refuses commands whatever their keys: it has too few replicas, can't save, was made a
 * replica, is busy with somebody's script, or its memory is full. That is noticed before the start,
 * waited for midway, and never taken for the keys' fault.
 */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed } from '../support/bulk.js';
import { type CliRun, runCli, startCli } from '../support/cli.js';
import { type Snapshot, snapshot } from '../support/compare.js';
import { unlessEnded } from '../support/halfway.js';
import { type Reported, reportOf, runJson, verifyJson } from '../support/reports.js';
import { setStage } from '../support/stage.js';
import { waitFor } from '../support/wait.js';

const stage = setStage({ source: { config: ['enable-protected-configs yes'] } });
const count = 6000;
let before: Snapshot;
let run: CliRun | undefined;

interface Trouble {
  /** How its words begin. */
  readonly word: string;
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

const config = (name: string, value: string | number) =>
  stage.source.client.config('SET', name, value);

const tooFewReplicas: Trouble = {
  word: 'NOREPLICAS',
  begin: () => config('min-replicas-to-write', 1),
  end: () => config('min-replicas-to-write', 0),
};

const cannotSave: Trouble = {
  word: 'MISCONF',
  async begin() {
    const { client, directory } = stage.source;
    const gone = join(directory, 'gone');
    mkdirSync(gone);
    await config('dir', gone);
    rmdirSync(gone);
    // What follows is refused only where saving was asked for.
    await config('save', '3600 1');
    await client.bgsave();
    const hasFailed = async () =>
      (await client.info('persistence')).includes('rdb_last_bgsave_status:err');
    await waitFor('saving to fail', hasFailed);
  },
  async end() {
    const { client, directory } = stage.source;
    await config('dir', directory);
    await config('save', '');
    await client.bgsave();
    const hasWorked = async () =>
      (await client.info('persistence')).includes('rdb_last_bgsave_status:ok');
    await waitFor('saving to work', hasWorked);
  },
};

const busy: Trouble = {
  word: 'BUSY',
  async begin() {
    const { client } = stage.source;
    await config('lua-time-limit', 1);
    const other = client.duplicate();
    const isOver = other.eval('while true do end', 0).catch(() => undefined);
    void isOver.finally(() => {
      other.disconnect();
    });
    const isBusy = () =>
      client.ping().then(
        () => false,
        (error: unknown) => String(error).includes('BUSY'),
      );
    await waitFor('it to be busy', isBusy);
  },
  end: () => stage.source.client.script('KILL'),
};

const troubles = [tooFewReplicas, cannotSave, busy].map((one) => [one.word, one] as const);

beforeEach(async () => {
  await fillMixed(stage.source, count);
  before = await snapshot(stage.source.client);
});
afterEach(async () => {
  run?.signal('SIGKILL');
  await run?.done;
  run = undefined;
  for (const [, { end }] of troubles) await end().catch(() => undefined);
});

async function expectComplete({ code, report }: Reported): Promise<void> {
  expect(report.error).toBeUndefined();
  expect(report.failures).toEqual([]);
  expect(code).toBe(0);
  expect(await stage.source.client.dbsize()).toBe(0);
  expect(await stage.missingIn(before)).toEqual([]);
}

const ways: readonly (readonly string[])[] = [
  ['--mover', 'relay'],
  ['--mover', 'relay', '--no-guard'],
  ['--mover', 'migrate'],
];

/** A run that has moved some keys, and will take some seconds for the others. */
async function begun(...words: string[]): Promise<CliRun> {
  run = startCli([...stage.endpoints, '--max-rate', '3000', '--json', '--quiet', ...words]);
  const hasBegun = async () => (await stage.source.client.dbsize()) < count * 0.9;
  await unlessEnded(run, waitFor('keys to leave', hasBegun));
  return run;
}

describe.each(troubles)('a source that answers %s', (word, trouble) => {
  it.each([...ways, ['--mover', 'migrate', '--copy']])(
    'from the start is refused before anything is copied (%s %s %s)',
    async (...words) => {
      await trouble.begin();
      const { code, stdout, stderr } = await runCli([...stage.endpoints, ...words.filter(Boolean)]);
      expect(code).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toMatch(word === 'BUSY' ? /is busy with a script/ : word);
      expect(await stage.cluster.size()).toBe(0);
    },
  );

  describe.each(ways)('midway (%s %s %s)', (...way) => {
    const words = way.filter(Boolean);

    it('is waited for', async () => {
      const { done, output } = await begun(...words);
      await trouble.begin();
      const [said = ''] = await output(/.*refuses commands.*/);
      expect(said).toContain(word);
      // What was under way is at an end; nothing more is copied.
      const { client } = stage.source;
      const commands = async () =>
        (await client.info('commandstats').catch(() => '')).match(/cmdstat_(dump|mget):calls=\d+/g);
      if (word !== 'BUSY') {
        let last: unknown;
        const isQuiet = async () => {
          const previous = JSON.stringify(last);
          last = await commands();
          return JSON.stringify(last) === previous;
        };
        await waitFor('nothing to be read', isQuiet, { everyMs: 300 });
      }
      await trouble.end();
      const { stderr, ...ended } = await done;
      await expectComplete(reportOf({ stderr, ...ended }));
      expect(stderr.match(/refuses commands/g)).toHaveLength(1);
    });

    it('ends the run once that has taken too long, with its own words, and nothing is lost', async () => {
      const { done } = await begun('--retry-for', '1s', ...words);
      await trouble.begin();
      const { code, report } = reportOf(await done);
      expect({ code, status: report.status }).toEqual({ code: 3, status: 'failed' });
      expect(report.error).toContain(word);
      expect(report.error).not.toContain('EXECABORT');
      expect(report.failures).toEqual([]);
      expect(report.durationMs).toBeLessThan(15_000);
      await trouble.end();
      await expectComplete(await runJson([...stage.endpoints]));
    });
  });

  it('while clients write, so that keys are moved under WATCH', async () => {
    const writer = stage.source.client.duplicate();
    let isWriting = true;
    const writes = (async () => {
      while (isWriting) await writer.set('written again and again', '1').catch(() => undefined);
    })();
    try {
      const { done, output } = await begun('--mover', 'relay');
      await trouble.begin();
      await output(/refuses commands/);
      await trouble.end();
      await waitFor('most keys to leave', async () => (await stage.source.client.dbsize()) < 5);
      isWriting = false;
      await writes;
      const { code, report } = reportOf(await done);
      expect(report.failures).toEqual([]);
      expect(code).toBe(0);
      expect(await stage.missingIn(before)).toHaveLength(1);
    } finally {
      isWriting = false;
      writer.disconnect();
    }
  });
});

it('a source that was made a replica is waited for', async () => {
  const { done, output } = await begun('--mover', 'relay');
  const { client } = stage.source;
  // A master that it never reaches: it keeps its keys.
  await client.replicaof('127.0.0.1', '1');
  await output(/refuses commands.*READONLY/);
  await client.replicaof('NO', 'ONE');
  await expectComplete(reportOf(await done));
});

it('a source whose memory is full lets its keys go all the same', async () => {
  const { client } = stage.source;
  const { done } = await begun('--mover', 'relay', '--retry-for', '5s');
  await config('maxmemory', 1);
  try {
    await expectComplete(reportOf(await done));
  } finally {
    await client.config('SET', 'maxmemory', '0');
  }
});

it('keys are not left out because a busy source does not tell their types', async () => {
  const types = ['string', 'list', 'set', 'zset', 'hash', 'stream'].flatMap((one) => [
    '--type',
    one,
  ]);
  const { done, output } = await begun('--mover', 'relay', ...types);
  await busy.begin();
  await output(/refuses commands/);
  await busy.end();
  await expectComplete(reportOf(await done));
});

it('verify waits for a source that is busy', async () => {
  expect((await runJson([...stage.endpoints, '--copy'])).code).toBe(0);
  const verifying = verifyJson([...stage.endpoints]);
  await busy.begin();
  await busy.end();
  expect((await verifying).code).toBe(0);
});
