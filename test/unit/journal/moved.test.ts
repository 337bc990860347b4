import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { listingRecord } from '../../../src/engine/seen-keys.js';
import { movedFiles, type MovedKeys, movedKeys } from '../../../src/journal/moved.js';
import { named } from '../../../src/redis/frames.js';
import type { Keys } from '../../../src/types.js';
import { edgeKeys, keysOf } from '../../support/keys.js';
import { setFolder } from '../../support/folder.js';

const path = setFolder();

const frames = (...keys: Buffer[]): Keys => keysOf(...keys.map((key) => key.toString('latin1')));
const numbered = (from: number, count: number): Keys =>
  keysOf(...Array.from({ length: count }, (_, at) => `key ${String(from + at)}`));
const newRecord = () => listingRecord(1024);
const untroubled = (error: Error): void => {
  throw error;
};

async function opened(file: string, limitBytes?: number): Promise<MovedKeys> {
  const moved = movedKeys(file, untroubled, limitBytes);
  await moved.recall(newRecord(), newRecord);
  return moved;
}

/** What another run would find on file now. */
async function recalled(file: string): Promise<(key: Buffer) => boolean> {
  const record = newRecord();
  const moved = movedKeys(file, untroubled);
  await moved.recall(record, newRecord);
  await moved.close();
  return (key) => record.noted(key, 0, key.length);
}

it('has keys on file once they are noted, whatever they are called', async () => {
  const file = path('state');
  const moved = await opened(file);
  await moved.note(frames(...edgeKeys));
  const known = await recalled(file);
  for (const key of edgeKeys) expect(known(key)).toBe(true);
  expect(known(Buffer.from('another'))).toBe(false);
  await moved.close();
});

it('keeps the names that keys get in the cluster', async () => {
  const file = path('state');
  const moved = await opened(file);
  await moved.note(named(keysOf('old'), keysOf('new')));
  await moved.close();
  const known = await recalled(file);
  expect(known(Buffer.from('new'))).toBe(true);
  expect(known(Buffer.from('old'))).toBe(false);
});

it('notes many at one time, and tells each when its own are on file', async () => {
  const file = path('state');
  const moved = await opened(file);
  const noting = Array.from({ length: 50 }, async (_, at) => {
    await moved.note(numbered(at * 10, 10));
    const [, log] = movedFiles(file);
    expect(readFileSync(log, 'latin1')).toContain(`key ${String(at * 10 + 9)}\r\n`);
  });
  await Promise.all(noting);
  await moved.close();
  const known = await recalled(file);
  for (let at = 0; at < 500; at++) expect(known(Buffer.from(`key ${String(at)}`))).toBe(true);
});

it('goes on behind what a killed run has left, and forgets half a key', async () => {
  const file = path('state');
  const [, log] = movedFiles(file);
  const first = await opened(file);
  await first.note(keysOf('one'));
  await first.close();
  const whole = statSync(log).size;
  appendFileSync(log, '$10\r\nhalf of');
  const second = await opened(file);
  expect(statSync(log).size).toBe(whole);
  await second.note(keysOf('two'));
  await second.close();
  const known = await recalled(file);
  expect([known(Buffer.from('one')), known(Buffer.from('two'))]).toEqual([true, true]);
  expect(known(Buffer.from('half of'))).toBe(false);
});

it('lets nothing be deleted that is not on file, and tells', async () => {
  const file = path('state');
  mkdirSync(movedFiles(file)[1]);
  const told: string[] = [];
  const moved = movedKeys(file, ({ message }) => told.push(message));
  await expect(moved.note(keysOf('one'))).rejects.toThrow(/journal can't be written/);
  expect(told).toHaveLength(1);
  await moved.close();
});

describe('when the log gets long', () => {
  it('is replaced by a record, and knows all keys at every moment, over several runs', async () => {
    const file = path('state');
    const [recordFile, ...logs] = movedFiles(file);
    let done = 0;
    for (let run = 0; run < 2; run++) {
      const moved = await opened(file, 1000);
      for (let page = 0; page < 4; page++) {
        await moved.note(numbered(done, 50));
        done += 50;
        const known = await recalled(file);
        for (let at = 0; at < done; at++)
          expect(known(Buffer.from(`key ${String(at)}`))).toBe(true);
      }
      await moved.close();
    }
    expect(existsSync(recordFile)).toBe(true);
    const left = logs.filter((log) => existsSync(log));
    expect(left.reduce((sum, log) => sum + readFileSync(log).length, 0)).toBeLessThan(3000);
  });
});
