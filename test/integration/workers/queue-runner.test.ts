/** The coordinator's side of a queue, against a real server that goes and comes back. */
import { expect, it } from 'vitest';
import { openQueueRunner } from '../../../src/workers/queue/queue-runner.js';
import { startServer } from '../../support/servers.js';

it.each([
  ['is away', false],
  ['was just restarted', true],
])('is closed while the Redis %s', async (_, isBack) => {
  const { host, port, ...server } = await startServer();
  try {
    const runner = await openQueueRunner({ host, port, tls: false, db: 0 }, 5000);
    await server.crash();
    if (isBack) await server.revive();
    await runner.close();
    expect(runner.atOnce).toBe(Infinity);
  } finally {
    await server.stop();
  }
});
