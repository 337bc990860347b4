/**
 * The small server that shows a run: only to this machine unless a host is named, only to those who
 * ask for it by its own name, and only for reading.
 *
 * A page from elsewhere can make a browser ask us under a name of its own (DNS rebinding), and would
 * then read what it gets: keys stand in it. So every request must use the name that we are bound to.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { hostname } from 'node:os';
import { messageOf, UsageError } from '../errors.js';
import { readPageFile } from '../installed.js';
import { addressOf } from '../redis/endpoint.js';

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
          `--metrics can't listen at ${where} (${messageOf(error)}): choose another port.`,
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

const loopback = '127.0.0.1';
const loopbackNames: readonly string[] = [loopback, '::1', 'localhost'];
const wildcards: readonly string[] = ['0.0.0.0', '::'];

export interface Where {
  readonly host: string;
  readonly port: number;
}

/** @throws UsageError when it is no `[host:]port`. */
export function readWhere(where: string): Where {
  const [, v6, name, digits] =
    /^(?:(?:\[([\da-f:.]+)\]|([^:[\]]+)):)?(\d{1,5})$/i.exec(where) ?? [];
  const port = Number(digits);
  if (digits !== undefined && port <= 65535) return { host: v6 ?? name ?? loopback, port };
  throw new UsageError(`--metrics ${where} is not [host:]port: write 9090 or 0.0.0.0:9090.`);
}

/**
 * Whether a Host header names what we are bound to. Where that is every address of the machine, any
 * address will do (it is names that can be turned against us), and the port may have been mapped.
 */
export function isOurs(header: string | undefined, bound: Where): boolean {
  const [, v6, name, digits] =
    /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(header ?? '') ?? [];
  const asked = (v6 ?? name)?.toLowerCase().replace(/\.$/, '');
  if (asked === undefined) return false;
  if (wildcards.includes(bound.host)) {
    return isIP(asked) > 0 || asked === 'localhost' || asked === hostname().toLowerCase();
  }
  if (Number(digits ?? 80) !== bound.port) return false;
  return loopbackNames.includes(bound.host)
    ? loopbackNames.includes(asked)
    : asked === bound.host.toLowerCase();
}

/**
 * The page that shows a run in a browser: one file that scripts/build-page.mjs made from page/. Its
 * script and its style are allowed by their hashes, and nothing else is.
 */
export async function readPage(): Promise<Answer> {
  const body = await readPageFile();
  const policy = [
    "default-src 'none'",
    `script-src ${hashesOf(body, 'script')}`,
    `style-src ${hashesOf(body, 'style')}`,
    "connect-src 'self'",
    'img-src data:',
  ].join('; ');
  return { type: 'text/html; charset=utf-8', body, policy };
}

function hashesOf(html: string, element: 'script' | 'style'): string {
  const found = html.matchAll(new RegExp(`<${element}[^>]*>([^]*?)</${element}>`, 'g'));
  return [...found]
    .map(([, content = '']) => `'sha256-${createHash('sha256').update(content).digest('base64')}'`)
    .join(' ');
}
