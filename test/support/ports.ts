/**
 * Free ports on loopback.
 *
 * They are taken from below the range that the system gives to outgoing connections, so that nobody
 * gets one by chance between our look and the server's start; and the port 10,000 above is free too,
 * because a cluster node takes it for its bus. Test files that run side by side take every second port
 * each: none gets the port of a server that another has stopped and will start again.
 */
import { createServer } from 'node:net';

const lowest = 10_000;
const highest = 22_000;
const given = new Set<number>();
/** Which of the two files that run side by side this one is (`maxWorkers` in vitest.config.ts). */
const side = Number(process.env['VITEST_POOL_ID'] ?? 0) % 2;

/** A port that is free now, and that this process has not given out before. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const port = lowest + side + 2 * Math.floor((Math.random() * (highest - lowest)) / 2);
    if (given.has(port)) continue;
    if ((await isFree(port)) && (await isFree(port + 10_000))) {
      given.add(port);
      return port;
    }
  }
  throw new Error('no free port found');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
