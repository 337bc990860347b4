import { describe, expect, it } from 'vitest';
import { countOthersAtWork, othersIn } from '../../../src/redis/other-clients.js';

/** As Redis 7.0 lists a client. */
function line(fields: Readonly<Record<string, string | number>>): string {
  const all = {
    id: 7,
    addr: '10.0.0.9:51234',
    name: '',
    age: 90,
    idle: 0,
    flags: 'N',
    db: 0,
    cmd: 'get',
    ...fields,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ');
}

describe('clients of a server that are at work', () => {
  it.each([
    ['asks for a key', {}, 1],
    ['is in a transaction', { flags: 'x', cmd: 'exec' }, 1],
    ['has a name of its own', { name: 'web-1' }, 1],
    ['is asked by its name alone', { name: 'cluster-importer' }, 1],
    ['has asked for nothing for a second', { idle: 1 }, 0],
    ['waits for a job', { flags: 'b', cmd: 'brpop' }, 0],
    ['is a run of ours', { name: 'cluster-import' }, 0],
    ['is a worker of ours', { name: 'cluster-import:3f2a:1' }, 0],
    ['is a Sentinel', { name: 'sentinel-5ab3-cmd', cmd: 'ping' }, 0],
    ['is a replica', { flags: 'S', cmd: 'replconf' }, 0],
    ['is the master', { flags: 'M', cmd: 'set' }, 0],
    ['reads MONITOR', { flags: 'O', cmd: 'monitor' }, 0],
    ['watches the server', { cmd: 'info' }, 0],
    ['watches the server, as Redis 7 says it', { cmd: 'client|list' }, 0],
    ['has just connected', { cmd: 'NULL' }, 0],
  ])('one that %s', (_, fields, count) => {
    expect(othersIn(`${line(fields)}\n`)).toBe(count);
  });

  it('are counted, each once', () => {
    expect(othersIn(`${line({})}\n${line({ idle: 60 })}\n${line({ cmd: 'incr' })}\n`)).toBe(2);
  });

  it('are not looked at where there are very many: listing them keeps them waiting', async () => {
    const asked: string[] = [];
    const count = await countOthersAtWork((...words) => {
      asked.push(words.join(' '));
      return Promise.resolve('# Clients\r\nconnected_clients:501\r\n');
    });
    expect([count, asked]).toEqual([undefined, ['INFO clients']]);
  });
});
