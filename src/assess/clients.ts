/**
 * Who sent commands. MONITOR has the address of a connection, and its port means nothing to anybody: so connections
 * are told together by their host, and by what CLIENT LIST says of them, a name, a user or a library.
 */
import { harmless, formatCount } from '../format.js';
import { clientsIn } from '../redis/other-clients.js';
import { shapeOf } from './key-shapes.js';

/** What CLIENT LIST says of a connection, as far as it is set. */
export interface ClientIdentity {
  /** CLIENT SETNAME. */
  readonly name?: string;
  /** The ACL user, from 6.0. */
  readonly user?: string;
  /** What the client's library calls itself (CLIENT SETINFO, from 7.2). */
  readonly library?: string;
}

/** Connections of one host that are called the same. */
export interface ClientGroup extends ClientIdentity {
  readonly host: string;
  readonly connections: number;
  /** There were more: not all of them were kept. */
  readonly orMore?: true;
}

/** So many connections are kept of who did something. */
export const connectionsKept = 100;
const groupsTold = 5;

/** @param list CLIENT LIST's reply. @returns by `host:port`, as MONITOR calls them too. */
export function readClientList(list: string): ReadonlyMap<string, ClientIdentity> {
  const known = new Map<string, ClientIdentity>();
  for (const fields of clientsIn(list)) {
    const address = fields.get('addr');
    const [name, user, library] = ['name', 'user', 'lib-name'].map((field) => fields.get(field));
    if (address === undefined) continue;
    known.set(address, {
      // Many name each connection, by a number: the number says no more than the port does.
      ...(name !== undefined && name !== '' && { name: shapeOf(name) }),
      ...(user !== undefined && user !== 'default' && { user: harmless(user) }),
      ...(library !== undefined && library !== '' && { library: harmless(library) }),
    });
  }
  return known;
}

/** Those with the most connections first. */
export function groupClients(
  addresses: ReadonlySet<string>,
  known: ReadonlyMap<string, ClientIdentity>,
): readonly ClientGroup[] {
  const groups = new Map<string, ClientGroup>();
  for (const address of addresses) {
    const identity = known.get(address) ?? {};
    const host = address.replace(/:\d+$/, '');
    const id = JSON.stringify([host, identity.name, identity.user, identity.library]);
    const connections = (groups.get(id)?.connections ?? 0) + 1;
    // All that come by a socket's path have the same address.
    const orMore = addresses.size >= connectionsKept || address.startsWith('unix:');
    groups.set(id, { host, ...identity, connections, ...(orMore && { orMore }) });
  }
  return [...groups.values()].sort((one, other) => other.connections - one.connections);
}

/** `10.0.1.7 (web, 3 connections), 10.0.1.8 (user jobs, 1 connection)` */
export function clientWords(groups: readonly ClientGroup[]): string {
  const told = groups.slice(0, groupsTold).map((group) => {
    const { host, name, user, library, connections, orMore } = group;
    const count = `${formatCount(connections)}${orMore === true ? ' or more' : ''}`;
    const words = [
      ...(name === undefined ? [] : [name]),
      ...(user === undefined ? [] : [`user ${user}`]),
      ...(name === undefined && library !== undefined ? [library] : []),
      `${count} ${count === '1' ? 'connection' : 'connections'}`,
    ];
    return `${host} (${words.join(', ')})`;
  });
  const more = groups.length - told.length;
  return `${told.join(', ')}${more > 0 ? ` and ${formatCount(more)} more` : ''}`;
}
