/** A server that does what no Redis should, or just what a test needs: a mock, and no more than that. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Endpoint } from '../../src/redis/endpoint.js';

export interface MockServer {
  readonly endpoint: Endpoint;
  /** `host:port`, which every error must name. */
  readonly address: string;
}

/** @param treat is called with each connection; the server ends with the test. */
export async function mockServer(treat: (socket: Socket) => void): Promise<MockServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    // Connections that a test breaks off are what it is about.
    socket.on('error', () => undefined);
    treat(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { host: '127.0.0.1', port, tls: false, db: 0 },
    address: `127.0.0.1:${String(port)}`,
  };
}

/** Gives the nth request this answer, however it is cut; `undefined` is silence. */
export function answering(...answers: (string | undefined)[]): (socket: Socket) => void {
  return (socket) => {
    let nth = 0;
    socket.on('data', () => {
      const answer = answers[nth++];
      if (answer !== undefined) socket.write(answer, 'latin1');
    });
  };
}
