/** RedisShake's sync reader, which goes on with what is written after its first copy. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keysAt } from '../../test/support/servers.js';
import { waitFor } from '../../test/support/wait.js';
import { startService } from '../lab/service.js';
import { absence, shakeConfig, shakeProgram } from '../rivals/redis-shake.js';
import type { Follower } from '../types.js';

export const redisShake: Follower = {
  name: 'RedisShake',
  missing: absence,
  start({ source, cluster, directory }) {
    const file = join(directory, 'shake.toml');
    const scene = { directory, from: source.address, to: cluster.seed };
    writeFileSync(file, shakeConfig(scene, 'sync', ['sync_rdb = true', 'sync_aof = true']));
    const service = startService({ program: shakeProgram(), args: [file] });
    return Promise.resolve({
      ...{ service, clientFor: (key: string) => cluster.clientFor(key) },
      async isFollowing() {
        await waitFor('RedisShake to have copied all', async () => {
          if (service.hasEnded) return true;
          const sizes = [source.client.dbsize(), keysAt(cluster.masters)] as const;
          const [there, arrived] = await Promise.all(sizes);
          return arrived >= there;
        });
      },
    });
  },
};
