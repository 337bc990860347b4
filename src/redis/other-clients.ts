/**
 * Who else is at work at a server: clients that have asked it for something in the last second, and wait
 * for the answers. Told by CLIENT LIST.
 *
 * Commands are not counted instead: INFO's count has the run's own in it, and those that scripts call, of which
 * nobody knows when they were counted.
 */
import { parseInfo } from './control.js';
import { ownName } from './identity.js';

/** The server stands still while it lists them: a thousand take a millisecond. */
const mostListed = 500;

/** What is asked by those who watch the server, or follow it: nobody waits for that. */
const watching = new Set(
  ['auth', 'client', 'command', 'config', 'hello', 'info', 'latency', 'monitor', 'null', 'ping']
    .concat(['psubscribe', 'psync', 'replconf', 'role', 'select', 'sentinel', 'slowlog'])
    .concat(['ssubscribe', 'subscribe', 'sync']),
);

/** A replica, the master of one, somebody who reads MONITOR, or who waits for a job (BLPOP). */
const waits = /[SMOb]/;

/**
 * @param ask sends a command and gives its answer, an error of the server as an exception.
 * @returns how many are at work; undefined: that can't be told here, or there are too many to look at each.
 */
export async function countOthersAtWork(
  ask: (...words: readonly [string, ...string[]]) => Promise<unknown>,
): Promise<number | undefined> {
  const connected = parseInfo(String(await ask('INFO', 'clients'))).get('connected_clients');
  if (Number(connected) > mostListed) return undefined;
  return othersIn(String(await ask('CLIENT', 'LIST')));
}

/** @param list what CLIENT LIST answers. */
export function othersIn(list: string): number {
  return clientsIn(list).filter(isAtWork).length;
}

function isAtWork(fields: ClientFields): boolean {
  const field = (name: string): string => fields.get(name) ?? '';
  const name = field('name');
  // Sentinels name their connections `sentinel-<id>-cmd`.
  if (name === ownName || name.startsWith(`${ownName}:`) || name.startsWith('sentinel-')) {
    return false;
  }
  const [command = ''] = field('cmd').toLowerCase().split('|');
  return field('idle') === '0' && !waits.test(field('flags')) && !watching.has(command);
}

/**
 * What CLIENT LIST answers: a line for each client, of fields as `name=value`, the same since 2.6
 * (https://redis.io/docs/latest/commands/client-list/).
 */
export type ClientFields = ReadonlyMap<string, string>;

/** @param list the reply. @returns the fields of each client, by name. */
export function clientsIn(list: string): readonly ClientFields[] {
  const lines = list.split('\n').filter((line) => line !== '');
  return lines.map((line) => new Map(line.trim().split(' ').map(fieldOf)));
}

function fieldOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
