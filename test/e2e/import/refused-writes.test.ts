/**
 * A source that refuses commands whatever their keys: it has too few replicas, can't save, was made a
 * replica, is busy with somebody's script, or its memory is full. That is noticed before the start,
 * waited for midway, and never taken for the keys' fault.
 */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMixed } from '../../support/bulk.js';
import { type CliRun, runCli, startCli } from '../../support/cli.js';
import { type Snapshot, snapshot } from '../../support/compare.js';
import { unlessEnded } from '../../support/halfway.js';
import { type Reported, reportOf, runJson, verifyJson } from '../../support/reports.js';
import { setStage } from '../../support/stage.js';
import { waitFor } from '../../support/wait.js';

const stage = setStage({ source: { config: ['enable-protected-configs yes'] } });
const count = 6000;
let before: Snapshot;
let run: CliRun | undefined;

interface Trouble {
  /** How its words begin. */
  readonly word: string;
  readonly begin: () => Promise<unknown>;
  readonly end: () => Promise<unknown>;
}

const config = (name: string, value: string | number) =>
  stage.source.client.config('SET', name, value);

const tooFewReplicas: Trouble = {
  word: 'NOREPLICAS',
  begin() {
    begunTroubles.push(tooFewReplicas);
    return config('min-replicas-to-write', 1);
  },
  end: () => config('min-replicas-to-write', 0),
};

const cannotSave: Trouble = {
  word: 'MISCONF',
  async begin() {
    begunTroubles.push(cannotSave);
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
      /rdb_bgsave_in_progress:0[^]*rdb_last_bgsave_status:ok/.test(
        await client.info('persistence'),
      );
    await waitFor('saving to work', hasWorked);
  },
};

const busy: Trouble = {
  word: 'BUSY',
  async begin() {
    begunTroubles.push(busy);
    const { client } = stage.source;
    await config('lua-time-limit', 1);
    const other = client.duplicate();
    const isOver = other.eval('while true do end', 0).catch(() => undefined);
    void isOver.finally(() => {
      other.disconnect();
    });
    await waitFor('it to be busy', isBusy);
  },
  async end() {
    await stage.source.client.script('KILL');
    // The script ends only after that was answered.
    await waitFor('it to be free again', async () => !(await isBusy()));
  },
};

const isBusy = () =>
  stage.source.client.ping().then(
    () => false,
    (error: unknown) => String(error).includes('BUSY'),
  );

const begunTroubles: Trouble[] = [];

beforeEach(async () => {
  await fillMixed(stage.source, count);
  before = await snapshot(stage.source.client);
});
afterEach(async () => {
  run?.signal('SIGKILL');
  await run?.done;
  run = undefined;
  for (const trouble of begunTroubles.splice(0)) await trouble.end().catch(() => undefined);
});

const expectComplete = (run: Reported) => stage.expectComplete(before, run);

/** A run that has moved some keys when trouble begins. It does nothing meanwhile, so it is not over before. */
async function amid(begin: () => Promise<unknown>, ...words: string[]): Promise<CliRun> {
  run = startCli([...stage.endpoints, '--max-rate', '3000', '--json', '--quiet', ...words]);
  const hasBegun = async () => (await stage.source.client.dbsize()) < count * 0.9;
  await unlessEnded(run, waitFor('keys to leave', hasBegun));
  await during(run, begin);
  return run;
}

/** The run stands still until that is done. */
async function during(standing: CliRun, work: () => Promise<unknown>): Promise<void> {
  standing.signal('SIGSTOP');
  await work();
  standing.signal('SIGCONT');
}

describe('from the start', () => {
  it.each([
    { trouble: tooFewReplicas, words: ['--guard'] },
    { trouble: tooFewReplicas, words: ['--mover', 'migrate', '--copy'] },
    { trouble: cannotSave, words: ['--no-guard'] },
    { trouble: busy, words: ['--copy'] },
  ])('$trouble.word is refused before anything is copied ($words)', async ({ trouble, words }) => {
    await trouble.begin();
    const { code, stdout, stderr } = await runCli([...stage.endpoints, ...words]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(trouble === busy ? /is busy with a script/ : trouble.word);
    expect(await stage.cluster.size()).toBe(0);
  });

  it('a copy of a source that refuses writes is none of its business', async () => {
    await tooFewReplicas.begin();
    expect((await runJson([...stage.endpoints, '--copy', '--mover', 'relay'])).code).toBe(0);
    expect(await stage.missingIn(before)).toEqual([]);
  });
});

describe.each([
  { trouble: tooFewReplicas, words: ['--mover', 'relay'] },
  { trouble: cannotSave, words: ['--mover', 'migrate'] },
  { trouble: busy, words: ['--mover', 'relay', '--no-guard'] },
  { trouble: busy, words: ['--mover', 'migrate'] },
])('midway: $trouble.word ($words)', ({ trouble, words }) => {
  const { word } = trouble;
  it('is waited for', async () => {
    const running = await amid(trouble.begin, ...words);
    const [said] = await running.output(/.*refuses commands.*/);
    expect(said).toContain(word);
    await trouble.end();
    const ended = await running.done;
    await expectComplete(reportOf(ended));
    expect(ended.stderr.match(/refuses commands/g)).toHaveLength(1);
  });

  it('ends the run once that has taken too long, in its own words, and nothing is lost', async () => {
    const running = await amid(trouble.begin, '--retry-for', '1s', ...words);
    const { code, report } = reportOf(await running.done);
    expect({ code, status: report.status }).toEqual({ code: 3, status: 'failed' });
    expect(report.error).toContain(word);
    expect(report.error).not.toContain('EXECABORT');
    expect(report.failures).toEqual([]);
    await trouble.end();
    await expectComplete(await runJson([...stage.endpoints]));
  });
});

it('nothing is copied while it refuses', async () => {
  const running = await amid(tooFewReplicas.begin, '--mover', 'relay');
  await running.output(/refuses commands/);
  const { client } = stage.source;
  const trials = async () =>
    Number(
      /cmdstat_unlink:calls=\d+.*rejected_calls=(\d+)/.exec(await client.info('commandstats'))?.[1],
    );
  const reads = async () =>
    (await client.info('commandstats')).match(/cmdstat_(dump|mget):calls=\d+/g);
  const someTrials = async () => {
    const before = await trials();
    await waitFor('some trials', async () => (await trials()) > before + 2);
  };
  // What was under way comes to its end.
  await someTrials();
  const [readBefore, sizeBefore] = [await reads(), await stage.cluster.size()];
  await someTrials();
  expect(await reads()).toEqual(readBefore);
  expect(await stage.cluster.size()).toBe(sizeBefore);
  await tooFewReplicas.end();
  await expectComplete(reportOf(await running.done));
});

it('while clients write, so that keys are moved under WATCH', async () => {
  // Elsewhere: a key of this database could be moved between two writes, and come back.
  const writer = stage.source.client.duplicate({ db: 1 });
  const writing = new AbortController();
  const writes = (async () => {
    while (!writing.signal.aborted)
      await writer.set('written again and again', '1').catch(() => undefined);
  })();
  try {
    const running = await amid(tooFewReplicas.begin, '--mover', 'relay');
    const [said] = await running.output(/.*refuses commands.*/);
    expect(said).toContain('NOREPLICAS');
    await tooFewReplicas.end();
    await waitFor('all keys to leave', async () => (await stage.source.client.dbsize()) === 0);
    writing.abort();
    await writes;
    const { code, report } = reportOf(await running.done);
    expect(report.failures).toEqual([]);
    expect(code).toBe(0);
    expect(await stage.missingIn(before)).toEqual([]);
  } finally {
    writing.abort();
    writer.disconnect();
  }
});

it('a source that was made a replica is waited for', async () => {
  const { client } = stage.source;
  // A master that it never reaches: it keeps its keys.
  const running = await amid(() => client.replicaof('127.0.0.1', '1'), '--mover', 'relay');
  await running.output(/refuses commands.*READONLY/);
  await client.replicaof('NO', 'ONE');
  await expectComplete(reportOf(await running.done));
});

it('a source whose memory is full lets its keys go all the same', async () => {
  const { client } = stage.source;
  const words = ['--mover', 'relay', '--retry-for', '5s'];
  const running = await amid(() => config('maxmemory', 1), ...words);
  try {
    await expectComplete(reportOf(await running.done));
  } finally {
    await client.config('SET', 'maxmemory', '0');
  }
});

it('keys are not left out because a busy source does not tell their types', async () => {
  const types = ['string', 'list', 'set', 'zset', 'hash', 'stream'].flatMap((one) => [
    '--type',
    one,
  ]);
  const running = await amid(busy.begin, '--mover', 'relay', ...types);
  await running.output(/refuses commands/);
  await busy.end();
  await expectComplete(reportOf(await running.done));
});

it('a dry run goes on once a source can be read again, though it takes no writes', async () => {
  const { client } = stage.source;
  await tooFewReplicas.begin();
  await client.config('RESETSTAT');
  const words = ['--dry-run', '--max-rate', '3000', '--retry-for', '5s', '--json', '--quiet'];
  run = startCli([...stage.endpoints, ...words]);
  const hasBegun = async () => /cmdstat_type:calls=\d{4}/.test(await client.info('commandstats'));
  await unlessEnded(run, waitFor('keys to be counted', hasBegun));
  await during(run, busy.begin);
  await run.output(/refuses commands/);
  await busy.end();
  const { stdout } = await run.done;
  expect(JSON.parse(stdout)).toMatchObject({ status: 'complete', keys: { scanned: before.size } });
});

it('verify waits for a source that is busy', async () => {
  expect((await runJson([...stage.endpoints, '--copy'])).code).toBe(0);
  const verifying = verifyJson([...stage.endpoints]);
  await busy.begin();
  await busy.end();
  expect((await verifying).code).toBe(0);
});
