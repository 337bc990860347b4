/** Who waits for a server that is away, and for how long. */
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SourceError, StoppedError } from '../../../src/errors.js';
import { createLink, type Link } from '../../../src/redis/link.js';

let server: Server;
let tries: number;
let port: number;
/** Called at each try; the server then hangs up. */
let onTry: () => void;

beforeEach(async () => {
  tries = 0;
  onTry = () => undefined;
  server = createServer((socket) => {
    tries++;
    socket.destroy();
    onTry();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as { port: number });
});
afterEach(() => server.close());

function linkFor(retryForMs: number): Link {
  const endpoint = { host: '127.0.0.1', port, db: 0, tls: false };
  return createLink(endpoint, { timeoutMs: 1000, retryForMs, mustBeWritable: false });
}

it('gives up once for all', async () => {
  const link = linkFor(200);
  const error = await link.open().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SourceError);
  const before = tries;
  expect(before).toBeGreaterThan(1);
  await expect(link.open()).rejects.toBe(error);
  expect(tries).toBe(before);
});

it('waits no longer when the signal comes, and tries once after it', async () => {
  const link = linkFor(600_000);
  const stop = new AbortController();
  link.heed(stop.signal);
  const second = new Promise<void>((resolve) => {
    onTry = () => {
      if (tries === 2) resolve();
    };
  });
  const waiting = link.open();
  waiting.catch(() => undefined);
  await second;
  stop.abort();
  await expect(waiting).rejects.toBeInstanceOf(StoppedError);
  await expect(link.open()).rejects.toBeInstanceOf(StoppedError);
  expect(tries).toBe(3);
});
