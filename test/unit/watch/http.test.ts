import { request } from 'node:http';
import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.js';
import { isOurs, readWhere, serve, type Served } from '../../../src/watch/http.js';

const text = 'text/plain; charset=utf-8';
const routes = {
  '/': () => ({ type: 'text/html', body: '<p>page', policy: "default-src 'self'" }),
  '/text': () => Promise.resolve({ type: text, body: 'é\n' }),
  '/broken': () => Promise.reject(new Error('a secret')),
};

describe('the server', () => {
  let server: Served;
  beforeEach(async () => {
    server = await serve(routes, '0');
  });
  afterEach(() => {
    server.close();
  });

  it('answers on the loopback, with what keeps browsers from doing more than showing it', async () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    const page = await fetch(`${server.url}/?what=ever`);
    expect([page.status, await page.text()]).toEqual([200, '<p>page']);
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'content-type': 'text/html',
      'content-security-policy':
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
    });
    const plain = await fetch(`${server.url}/text`);
    expect(plain.headers.get('content-security-policy')).toMatch(/^default-src 'none'; /);
    expect(await plain.text()).toBe('é\n');
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('does nothing for %s', async (method) => {
    const answer = await fetch(server.url, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('gives heads without bodies', async () => {
    const answer = await fetch(`${server.url}/text`, { method: 'HEAD' });
    expect([answer.status, answer.headers.get('content-length')]).toEqual([200, '3']);
    expect(await answer.text()).toBe('');
  });

  it.each(['/no', '/toString', '/__proto__', '//', '/text/'])('has nothing at %s', async (path) => {
    expect(await statusOf(server, path)).toBe(404);
  });

  it('says nothing of what went wrong inside', async () => {
    const answer = await fetch(`${server.url}/broken`);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
  });

  it('refuses whoever asks for it by another name', async () => {
    const { port } = new URL(server.url);
    expect(await statusOf(server, '/', `localhost:${port}`)).toBe(200);
    for (const host of [`evil.example:${port}`, '127.0.0.1', `127.0.0.1.evil.example:${port}`]) {
      expect(await statusOf(server, '/', host), host).toBe(421);
    }
  });

  it('says when it cannot listen', async () => {
    const { port } = new URL(server.url);
    await expect(serve(routes, port)).rejects.toThrow(/--metrics can't listen/);
    await expect(serve(routes, port)).rejects.toBeInstanceOf(UsageError);
  });
});

/** With a Host header of our choice, which fetch does not allow. */
function statusOf({ url }: Served, path: string, host = new URL(url).host): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname: address, port } = new URL(url);
    const asked = request({ host: address, port, path, headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.once('error', reject).end();
  });
}

describe('a Host header', () => {
  it.each([
    ['127.0.0.1:9090', '127.0.0.1', true],
    ['localhost:9090', '127.0.0.1', true],
    ['LOCALHOST.:9090', '127.0.0.1', true],
    ['[::1]:9090', 'localhost', true],
    ['127.0.0.1:9091', '127.0.0.1', false],
    ['127.0.0.1', '127.0.0.1', false],
    ['evil.example:9090', '127.0.0.1', false],
    ['importer:9090', 'importer', true],
    ['10.0.0.7:9090', '10.0.0.7', true],
    ['localhost:9090', '10.0.0.7', false],
    ['10.0.0.7:32768', '0.0.0.0', true],
    [`${hostname()}:9090`, '::', true],
    ['evil.example:9090', '0.0.0.0', false],
    ['10.0.0.7.evil.example:9090', '0.0.0.0', false],
    ['', '127.0.0.1', false],
    [undefined, '0.0.0.0', false],
    ['a:b:9090', '0.0.0.0', false],
  ])('of %s, bound to %s: %s', (header, host, expected) => {
    expect(isOurs(header, { host, port: 9090 })).toBe(expected);
  });
});

describe('the place to listen', () => {
  it.each([
    ['9090', '127.0.0.1', 9090],
    ['0.0.0.0:9090', '0.0.0.0', 9090],
    ['localhost:0', 'localhost', 0],
    ['[::1]:9090', '::1', 9090],
  ])('can be %s', (where, host, port) => {
    expect(readWhere(where)).toEqual({ host, port });
  });

  it.each(['', 'x', '65536', 'host:', ':9090', '::1:9090', '9090/metrics'])(
    'can not be "%s"',
    (where) => {
      expect(() => readWhere(where)).toThrow(UsageError);
    },
  );
});
