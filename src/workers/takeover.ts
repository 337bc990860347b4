/**
 * Taking over what another process may still be at: its connections are closed first, at the source and at
 * every node, so that nothing it has sent can arrive any more. That it can't open others is seen to by what
 * each connection is confirmed by (redis/identity.ts).
 */
import { ConnectionError, RefusedError } from '../errors.js';
import type { Facts } from '../plan/preflight.js';
import { isServer, serverIdOf } from '../plan/source-facts.js';
import { type Control, withControl } from '../redis/control.js';
import { clientsIn } from '../redis/other-clients.js';
import { connectionName, type Identity, ownName } from '../redis/identity.js';
import type { Node } from '../types.js';

/**
 * @returns the servers that do not let this user close connections.
 * @throws ConnectionError when a server does not answer.
 */
export async function closeOthersEverywhere(
  facts: Pick<Facts, 'sources' | 'target'>,
  timeoutMs: number,
  identity: Identity,
): Promise<readonly string[]> {
  const refusing: string[] = [];
  await atEach(facts, timeoutMs, async (control) => {
    try {
      await closeOthers(control, identity);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusing.push(control.address);
    }
  });
  return refusing;
}

/**
 * Tries, before anything is begun, what a takeover needs: it changes nothing.
 * @returns the servers that do not let this user do it.
 */
export async function refusingTakeover(
  facts: Pick<Facts, 'sources' | 'target'>,
  timeoutMs: number,
): Promise<readonly string[]> {
  const refusing: string[] = [];
  await atEach(facts, timeoutMs, async (control) => {
    // There is no client of that number, which is another error than not being allowed to ask.
    for (const words of [['LIST'], ['SETNAME', ownName], ['KILL', 'ID', '0']]) {
      try {
        await control.call('CLIENT', ...words);
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        if (!error.reply.startsWith('NOPERM')) continue;
        refusing.push(control.address);
        return;
      }
    }
  });
  return refusing;
}

/** At each source's server and each node; replicas that are away hold no connections. */
async function atEach(
  { sources, target }: Pick<Facts, 'sources' | 'target'>,
  timeoutMs: number,
  work: (control: Control) => Promise<void>,
): Promise<void> {
  const servers = new Map(
    sources.filter(isServer).map((source) => [serverIdOf(source), source.control]),
  );
  const { topology } = target;
  const atNode = (node: Node): Promise<void> =>
    withControl(topology.endpointOf(node), { side: 'to', timeoutMs }, work);
  await Promise.all([
    ...[...servers.values()].map(work),
    ...topology.masters.map(atNode),
    ...topology.replicas.map((node) => atNode(node).catch(unlessAway)),
  ]);
}

function unlessAway(error: unknown): void {
  if (!(error instanceof ConnectionError)) throw error;
}

/** What a server has read of a connection and not run yet, it drops with it (freeClient, networking.c). */
async function closeOthers(control: Control, identity: Identity): Promise<void> {
  const all = clientsIn(String(await control.call('CLIENT', 'LIST')));
  const others = all.filter((fields) => {
    const name = fields.get('name') ?? '';
    return name.startsWith(`${identity.work}:`) && name !== connectionName(identity);
  });
  for (const fields of others) {
    const id = fields.get('id');
    // Before 2.8.12 they have no ids; and one that is gone by itself meanwhile is no trouble.
    await (id === undefined
      ? control.call('CLIENT', 'KILL', fields.get('addr') ?? '').catch(() => undefined)
      : control.call('CLIENT', 'KILL', 'ID', id));
  }
}
