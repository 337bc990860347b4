/**
 * The small server that hands out the run's metrics, to this machine only unless a host is named.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UsageError } from '../errors.js';
import { addressOf } from '../redis/endpoint.js';

const loopback = '127.0.0.1';

/** What is served: prom-client's registry, or whatever else writes its format. */
export interface Exposition {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export interface MetricsServer {
  /** `http://127.0.0.1:9090/metrics` */
  readonly url: string;
  close(): void;
}

/**
 * @param where `[host:]port`; without a host only this machine can read it.
 * @throws UsageError when it can't listen there.
 */
export async function serveMetrics(exposition: Exposition, where: string): Promise<MetricsServer> {
  const { host, port } = readWhere(where);
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response
        .writeHead(404, { 'content-type': 'text/plain' })
        .end('There is only /metrics here.\n');
      return;
    }
    exposition.metrics().then(
      (text) => response.writeHead(200, { 'content-type': exposition.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
    );
  });
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
  const bound = server.address() as AddressInfo;
  server.unref();
  return {
    url: `http://${addressOf({ host, port: bound.port })}/metrics`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** @throws UsageError when it is no `[host:]port`. */
export function readWhere(where: string): { readonly host: string; readonly port: number } {
  const [, v6, name, digits] =
    /^(?:(?:\[([\da-f:.]+)\]|([^:[\]]+)):)?(\d{1,5})$/i.exec(where) ?? [];
  const port = Number(digits);
  if (digits !== undefined && port <= 65535) return { host: v6 ?? name ?? loopback, port };
  throw new UsageError(`--metrics ${where} is not [host:]port: write 9090 or 0.0.0.0:9090.`);
}
