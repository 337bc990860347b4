import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.js';
import {
  parseEndpoint,
  parseNat,
  printable,
  reach,
  withPassword,
} from '../../../src/redis/endpoint.js';
import { parseSentinels } from '../../../src/redis/control.js';

const parse = (text: string) => parseEndpoint(text, '--from');

describe('parseEndpoint', () => {
  it.each([
    ['127.0.0.1:7000', { host: '127.0.0.1', port: 7000, tls: false, db: 0 }],
    ['db.example.com:7000/3', { host: 'db.example.com', port: 7000, tls: false, db: 3 }],
    ['[::1]:7000', { host: '::1', port: 7000, tls: false, db: 0 }],
    ['redis://h', { host: 'h', port: 6379, tls: false, db: 0 }],
    ['redis://h/2', { host: 'h', port: 6379, tls: false, db: 2 }],
    ['redis://h:1/', { host: 'h', port: 1, tls: false, db: 0 }],
    ['rediss://[2001:db8::1]:65535/1', { host: '2001:db8::1', port: 65535, tls: true, db: 1 }],
    ['redis://:secret@h:1', { host: 'h', port: 1, tls: false, password: 'secret', db: 0 }],
    ['redis://u:p@h', { host: 'h', port: 6379, tls: false, username: 'u', password: 'p', db: 0 }],
    ['redis://u@h', { host: 'h', port: 6379, tls: false, username: 'u', password: '', db: 0 }],
    [
      'redis://:a%20b%25%40%C3%A9@h',
      { host: 'h', port: 6379, tls: false, password: 'a b%@é', db: 0 },
    ],
    [
      'redis://:a/b#c@d?e:f@h',
      { host: 'h', port: 6379, tls: false, password: 'a/b#c@d?e:f', db: 0 },
    ],
    ['redis://@h', { host: 'h', port: 6379, tls: false, db: 0 }],
  ])('reads %s', (text, endpoint) => {
    expect(parse(text)).toEqual(endpoint);
  });

  it.each([
    ['', /is not an endpoint/],
    ['host', /--from has no port: write it as host:6379/],
    ['::1:7000', /is not an endpoint/],
    ['[nonsense]:7000', /is not an endpoint/],
    ['host:', /port .*1 to 65535/],
    ['host:0', /port/],
    ['host:65536', /port/],
    ['host:7000x', /port/],
    ['host:7000/x', /database/],
    ['host:7000/-1', /database/],
    ['http://host:7000', /http:\/\//],
    ['redis://', /is not an endpoint/],
    ['redis://h:1?db=3', /port/],
    ['two words:7000', /is not an endpoint/],
  ])('refuses %s', (text, message) => {
    expect(() => parse(text)).toThrow(UsageError);
    expect(() => parse(text)).toThrow(message);
    expect(() => parse(text)).toThrow('--from');
  });

  it.each([
    'redis://:hush%@h:1',
    'redis://u:hush@h:x',
    'redis://u:hush@',
    'u:hush@h:1',
    'x://hush@h',
    'redis://u:hush',
    'redis://:hush',
  ])('keeps the password out of the error for %s', (text) => {
    expect(() => parse(text)).toThrow(UsageError);
    expect(() => parse(text)).not.toThrow(/hush/);
  });
});

it('prints endpoints without what they hold in secret', () => {
  expect(printable(parse('redis://u:hush@h:7/3'))).toBe('h:7/3');
  expect(printable(parse('redis://:hush@[::1]'))).toBe('[::1]:6379/0');
});

it('takes a password from elsewhere only where none was given', () => {
  expect(withPassword(parse('h:1'), 'p').password).toBe('p');
  expect(withPassword(parse('redis://u@h:1'), 'p')).toMatchObject({ username: 'u', password: 'p' });
  expect(withPassword(parse('redis://:own@h:1'), 'p').password).toBe('own');
  expect(withPassword(parse('h:1'), undefined)).not.toHaveProperty('password');
});

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
