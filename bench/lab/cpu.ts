/** What servers have used of the processor, by their own account: all threads, user and system. */
import type { Server } from '../../test/support/servers.js';

export async function cpuSecondsOf(servers: readonly Server[]): Promise<number> {
  const used = await Promise.all(
    servers.map(async (server) => {
      const info = await server.client.info('cpu');
      const times = info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm);
      return [...times].reduce((sum, [, seconds]) => sum + Number(seconds), 0);
    }),
  );
  return used.reduce((sum, seconds) => sum + seconds, 0);
}
