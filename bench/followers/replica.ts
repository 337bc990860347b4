/** An ordinary replica of the source: what a source is used to. */
import { startServer } from '../../test/support/servers.js';
import { waitFor } from '../../test/support/wait.js';
import type { Follower } from '../types.js';

export const replica: Follower = {
  name: 'a replica',
  missing: () => undefined,
  async start({ source }) {
    const config = [`replicaof ${source.host} ${String(source.port)}`];
    const server = await startServer({ config });
    return {
      service: { pid: server.pid, hasEnded: false, lastLine: () => '', kill: () => server.stop() },
      clientFor: () => server.client,
      async isFollowing() {
        await waitFor('the replica to have copied all', async () =>
          (await server.client.info('replication')).includes('master_link_status:up'),
        );
      },
    };
  },
};
