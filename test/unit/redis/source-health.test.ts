import { describe, expect, it } from 'vitest';
import { refusalIn, trialWords, tryOut } from '../../../src/redis/source-health.js';
import { trialName } from '../../../src/sources/trial-names.js';

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
