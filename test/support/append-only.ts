/** What servers with `appendonly yes` write. */
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from './servers.js';
import { waitFor } from './wait.js';

/** Has a server begin anew with what it holds now; resolves when it has. */
export async function rewrite({ client }: Server): Promise<void> {
  await client.bgrewriteaof();
  await waitFor('the rewriting', async () => {
    const info = await client.info('persistence');
    return /aof_rewrite_in_progress:0/.test(info) && /aof_rewrite_scheduled:0/.test(info);
  });
}

/** Copies the commands since the server's start to a file. @returns its path. */
export function copyCommands(file: string, { directory }: Server): string {
  const folder = join(directory, 'appendonlydir');
  const increment = readdirSync(folder).find((name) => name.endsWith('.incr.aof')) ?? '';
  cpSync(join(folder, increment), file);
  return file;
}
