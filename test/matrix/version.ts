/** What INFO of a server tells of it. */
import type { Server } from '../support/servers.js';

export async function fieldOf(server: Server, section: string, field: string): Promise<string> {
  const info = await server.client.info(section);
  return new RegExp(`^${field}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? '';
}

export async function versionOf(server: Server): Promise<string> {
  const valkey = await fieldOf(server, 'server', 'valkey_version');
  return valkey === '' ? fieldOf(server, 'server', 'redis_version') : `Valkey ${valkey}`;
}
