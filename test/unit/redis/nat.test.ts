import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.js';
import { parseNat, reach } from '../../../src/redis/nat.js';
import { parseSentinels } from '../../../src/redis/sentinel.js';

describe('--nat', () => {
  const rules = [
    '172.18.0.2:6379=localhost:7001',
    '172.18.0.3=gateway.example.com',
    'fd00::2=[::1]',
    '[fd00::3]:6379=127.0.0.1:7003',
  ].map(parseNat);

  it.each([
    [
      { host: '172.18.0.2', port: 6379 },
      { host: 'localhost', port: 7001 },
    ],
    [
      { host: '172.18.0.2', port: 6380 },
      { host: '172.18.0.2', port: 6380 },
    ],
    [
      { host: '172.18.0.3', port: 6380 },
      { host: 'gateway.example.com', port: 6380 },
    ],
    [
      { host: 'fd00::2', port: 1 },
      { host: '::1', port: 1 },
    ],
    [
      { host: 'fd00::3', port: 6379 },
      { host: '127.0.0.1', port: 7003 },
    ],
    [
      { host: 'localhost', port: 6379 },
      { host: 'localhost', port: 6379 },
    ],
  ])('%j is reached at %j', (announced, reachable) => {
    expect(reach(announced, rules)).toEqual(reachable);
  });

  it('the very port goes before the host', () => {
    const both = ['a=b', 'a:1=c:2'].map(parseNat);
    expect(reach({ host: 'a', port: 1 }, both)).toEqual({ host: 'c', port: 2 });
    expect(reach({ host: 'a', port: 3 }, both)).toEqual({ host: 'b', port: 3 });
  });

  it.each(['', 'a', 'a=', '=b', 'a=b=c', 'a:1=b', 'a=b:1', 'a:0=b:0', 'a:x=b:1', '[no]:1=a:1'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseNat(text)).toThrow(UsageError);
    },
  );
});

describe('sentinel://', () => {
  const parse = (text: string) => parseSentinels(text, '--from', []);
  const places = (text: string) =>
    parse(text)?.sentinels?.endpoints.map((one) => [one.host, one.port]);

  it('reads names, places and the login of the source', () => {
    const endpoint = parse('sentinel://joe:p%40ss@main@a:1,b,[::1]:3/2');
    expect(endpoint).toMatchObject({ username: 'joe', password: 'p@ss', db: 2, tls: false });
    expect(endpoint?.sentinels?.name).toBe('main');
    expect(places('sentinel://joe:p@main@a:1,b,[::1]:3/2')).toEqual([
      ['a', 1],
      ['b', 26379],
      ['::1', 3],
    ]);
    expect(endpoint?.sentinels?.endpoints[0]?.password).toBeUndefined();
    expect(parse('sentinels://main@a')).toMatchObject({ tls: true });
  });

  it('leaves other schemes to others, and refuses what lacks a part', () => {
    expect(parse('redis://main@a')).toBeUndefined();
    for (const text of ['sentinel://a:1', 'sentinel://@a:1', 'sentinel://main@', 'sentinel://']) {
      expect(() => parse(text)).toThrow(UsageError);
    }
  });
});
