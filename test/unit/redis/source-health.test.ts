import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Linked } from '../../../src/redis/pool.js';
import { ErrorReply } from '../../../src/redis/reply.js';
import {
  createSourceHealth,
  refusalIn,
  trialWords,
  tryOut,
} from '../../../src/redis/source-health.js';
import { trialName } from '../../../src/sources/glob.js';

describe('the words by which a server refuses commands whatever their keys', () => {
  it.each([
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    'LOADING Redis is loading the dataset in memory',
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.',
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
  ])('are %s', (text) => {
    expect(refusalIn(text)).toBe(text);
    expect(refusalIn(`EXECABORT Transaction discarded because of: ${text}`)).toBe(text);
    // As scripts of servers before 7.0 pass it on.
    expect(refusalIn(`@user_script: 12: -${text}\r\n`)).toBe(text);
  });

  it.each([
    'BUSYKEY Target key name already exists.',
    'EXECABORT Transaction discarded because of previous errors.',
    'NOPERM this user has no permissions to run the unlink command',
    "ERR Target instance replied with error: OOM command not allowed when used memory > 'maxmemory'.",
    'WRONGTYPE Operation against a key holding the wrong kind of value',
  ])('are not %s', (text) => {
    expect(refusalIn(text)).toBeUndefined();
  });
});

it('a trial at a node of a cluster looks for a name of its own', async () => {
  const names = new Set<unknown>();
  const error = await tryOut(trialWords('UNLINK'), trialName, ([, name]) => {
    names.add(name);
    return Promise.resolve(names.size < 5 ? 'MOVED 1 127.0.0.1:7001' : 'MISCONF it can not save');
  });
  expect(error).toBe('MISCONF it can not save');
  expect(names.size).toBe(5);
});

it('a trial at a node that has no slots ends, however far away it is', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  let tries = 0;
  const error = await tryOut(trialWords('EXISTS'), trialName, () => {
    tries++;
    vi.advanceTimersByTime(100);
    return Promise.resolve('MOVED 1 127.0.0.1:7001');
  });
  vi.useRealTimers();
  expect(error).toContain('MOVED');
  expect(tries).toBeLessThan(50);
});

describe('how long a source may refuse', () => {
  const link = (replies: readonly (string | ErrorReply)[]) => {
    const left = [...replies];
    const connection = { lost: undefined, call: () => Promise.resolve(left.shift() ?? 'OK') };
    return {
      open: () => Promise.resolve({ connection } as unknown as Linked),
      renew: () => undefined,
    };
  };
  const options = {
    ...{ name: 'a:1/0', trial: trialWords('UNLINK'), trialName, retryForMs: 2000 },
    logger: { warn: () => undefined, info: () => undefined },
  };
  const refusal = 'NOREPLICAS Not enough good replicas to write.';
  const now = vi.spyOn(Date, 'now');
  afterEach(() => now.mockReset());

  it('does not count what passes while nobody asks, as in a pause', async () => {
    const health = createSourceHealth(link([]), options);
    now.mockReturnValue(1000);
    health.refused(refusal);
    now.mockReturnValue(1_000_000);
    await expect(health.ready()).resolves.toBeUndefined();
    // The command after the trial met another refusal, long after.
    now.mockReturnValue(2_000_000);
    health.refused(refusal);
    await expect(health.ready()).resolves.toBeUndefined();
  });

  it('counts all waiting until a command succeeds', async () => {
    const error = new ErrorReply(refusal);
    let atMs = 0;
    now.mockImplementation(() => (atMs += 600));
    const health = createSourceHealth(link(Array<ErrorReply>(50).fill(error)), options);
    health.refused(refusal);
    await expect(health.ready()).rejects.toThrow('a:1/0 has refused commands for 2 s');
  });
});
