/** The reader of RDB files, with files that a real server wrote. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { RdbError } from '../../../src/sources/rdb/rdb-errors.js';
import { fillEveryType } from '../../support/every-type.js';
import { readAll, saved } from '../../support/rdb.js';
import { type Server, startServer } from '../../support/servers.js';

/** A payload's version and checksum. */
const trailerBytes = 10;

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  await server.client.config('SET', 'rdbcompression', 'yes');
  await server.client.flushall();
});

async function expectedValues(dbs = [0]): Promise<Map<string, Buffer>> {
  const values = new Map<string, Buffer>();
  for (const db of dbs) {
    await server.client.select(db);
    for (const key of await server.client.keysBuffer('*')) {
      const payload = await server.client.dumpBuffer(key);
      const name = `${String(db)} ${key.toString('latin1')}`;
      values.set(name, payload.subarray(0, -trailerBytes));
    }
  }
  await server.client.select(0);
  return values;
}

/** Tables are written in an order of their own each time: what is compared is sizes then. */
const sizes = (values: Map<string, Buffer>): Map<string, string> =>
  new Map(
    [...values].map(([key, { length, 0: type }]) => [key, `${String(type)} ${String(length)}`]),
  );

test.each(['yes', 'no'])('finds every value as DUMP gives it, compression: %s', async (on) => {
  await server.client.config('SET', 'rdbcompression', on);
  await fillEveryType(server.client);
  await server.client.select(5);
  await server.client.set('in another database', 'x');
  await server.client.select(0);
  const expected = await expectedValues([0, 5]);
  const file = await saved(server);
  for (const pieceBytes of [file.length, 100_003, 4099]) {
    const found = await readAll(file, pieceBytes);
    expect(sizes(found.values)).toEqual(sizes(expected));
    for (const [key, value] of expected) {
      if (/string|list|intset|zset/.test(key)) {
        expect(found.values.get(key)?.equals(value), key).toBe(true);
      }
    }
    const hash = await server.client.pexpiretime('ttl:hash');
    expect(found.deadlines.get('0 ttl:hash')).toBe(hash);
  }
});

test('reads function libraries, keys that are numbers, and compressed keys', async () => {
  const code = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
  await server.client.call('FUNCTION', 'LOAD', 'REPLACE', code);
  const long = 'again and '.repeat(50);
  await server.client.mset('12', 'a', '-70000', 'b', long, 'c', '', 'd');
  const found = await readAll(await saved(server));
  await server.client.call('FUNCTION', 'FLUSH');
  expect(found.libraries).toEqual([code]);
  expect([...found.values.keys()].sort()).toEqual(['0 ', '0 -70000', '0 12', `0 ${long}`].sort());
});

test('goes on from wherever it was', async () => {
  await fillEveryType(server.client);
  const file = await saved(server);
  const whole = await readAll(file);
  for (const [at, position] of whole.positions.entries()) {
    const rest = await readAll(file, file.length, position);
    expect([...rest.values.keys()]).toEqual([...whole.values.keys()].slice(at + 1));
  }
});

async function smallFile(): Promise<Buffer> {
  await server.client.mset('a', '1', 'b', 'two', 'c', 'x'.repeat(100));
  await server.client.call('XADD', 's', '1-1', 'f', 'v');
  await server.client.call('XGROUP', 'CREATE', 's', 'g', '0');
  await server.client.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>');
  await server.client.zadd('z', 1.5, 'm');
  await server.client.pexpire('z', 1_000_000);
  return saved(server);
}

test('says of a file that is cut off anywhere that it is, and where', async () => {
  const file = await smallFile();
  for (let end = 9; end < file.length; end++) {
    const error: unknown = await readAll(file.subarray(0, end)).catch((e: unknown) => e);
    expect(error, `cut at ${String(end)}`).toBeInstanceOf(RdbError);
    expect(String(error)).toContain(`ends at byte ${String(end)},`);
  }
});

test('takes no byte for another: the checksum tells', async () => {
  const file = await smallFile();
  for (let at = 0; at < file.length; at++) {
    const damaged = Buffer.from(file);
    damaged[at] = (damaged[at] as number) ^ 0x55;
    await expect(readAll(damaged), `byte ${String(at)}`).rejects.toBeInstanceOf(RdbError);
  }
});

test('takes files without a checksum', async () => {
  const file = await smallFile();
  file.fill(0, file.length - 8);
  expect((await readAll(file)).values.size).toBe(5);
});

test('says what is no RDB file, and what is newer than it knows', async () => {
  await expect(readAll(Buffer.from('hello, I am no dump'))).rejects.toThrow('neither a dump');
  await expect(readAll(Buffer.from('*3\r\n$3\r\nSET'))).rejects.toThrow('a plain file');
  await expect(readAll(Buffer.from('REDIS0000'))).rejects.toThrow('version 0');
  await expect(readAll(Buffer.from('REDIS0080'))).rejects.toThrow('12 is the newest');
  await expect(readAll(Buffer.from('VALKEY079'))).rejects.toThrow('version 79 of Valkey');
});
