/**
 * The small server that shows a run: only to this machine unless a host is named, only to those who
 * ask for it by its own name, and only for reading.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UsageError } from '../errors.js';
import { addressOf } from '../redis/endpoint.js';
import { isOurs, readWhere } from './where.js';

export interface Answer {
  readonly type: string;
  readonly body: string;
  /** What a page may do besides being shown: `script-src …`. */
  readonly policy?: string;
}

/** By path. */
export type Routes = Readonly<Record<string, () => Answer | Promise<Answer>>>;

export interface Served {
  /** `http://127.0.0.1:9090` */
  readonly url: string;
  close(): void;
}

const maxConnections = 64;
const noPolicy = "default-src 'none'";
const headers = {
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/**
 * @param where `[host:]port`; without a host only this machine can read it.
 * @throws UsageError when it can't listen there.
 */
export async function serve(routes: Routes, where: string): Promise<Served> {
  const { host, port } = readWhere(where);
  let bound = { host, port };
  const server = createServer((request, response) => {
    void answerTo(request, routes, bound).then((answer) => {
      send(response, answer);
    });
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new UsageError(
          `--metrics can't listen at ${where} (${error.message}): choose another port.`,
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  bound = { host, port: (server.address() as AddressInfo).port };
  server.unref();
  return {
    url: `http://${addressOf(bound)}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

type Sent = Answer & { readonly status: number };

async function answerTo(
  { method, url = '', headers: { host } }: IncomingMessage,
  routes: Routes,
  bound: { readonly host: string; readonly port: number },
): Promise<Sent> {
  if (!isOurs(host, bound)) return plain(421, `Ask for ${addressOf(bound)} by that name.`);
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'This is only for reading.');
  const path = url.split('?', 1)[0] ?? '';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (!route) return plain(404, `There are only ${Object.keys(routes).join(', ')} here.`);
  try {
    return { status: 200, ...(await route()) };
  } catch {
    return plain(500, 'That could not be shown.');
  }
}

function plain(status: number, sentence: string): Sent {
  return { status, type: 'text/plain; charset=utf-8', body: `${sentence}\n` };
}

function send(response: ServerResponse, { status, type, body, policy = noPolicy }: Sent): void {
  response.writeHead(status, {
    ...headers,
    ...(status === 405 && { allow: 'GET, HEAD' }),
    'content-security-policy': `${policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    'content-type': type,
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
