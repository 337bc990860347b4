/** Which server writes for a replica. */
import { ConnectionError } from '../errors.js';
import { openControl } from './control.js';
import { addressOf, type Endpoint } from './endpoint.js';

/** A chain of replicas that is longer than that goes round in a circle. */
const longestChain = 8;

/**
 * The master that this server gets its data from, or the server itself. The same user logs in to both.
 * @throws ConnectionError when one of them can't be reached.
 */
export async function masterOf(endpoint: Endpoint, timeoutMs: number): Promise<Endpoint> {
  let asked = endpoint;
  for (let length = 0; length < longestChain; length++) {
    const control = await openControl(asked, { side: 'from', timeoutMs });
    let info: ReadonlyMap<string, string>;
    try {
      info = await control.info('replication');
    } finally {
      control.close();
    }
    const host = info.get('master_host');
    if (info.get('role') !== 'slave' || host === undefined) return asked;
    asked = { ...asked, host, port: Number(info.get('master_port')) };
  }
  throw new ConnectionError(`${addressOf(endpoint)} is a replica of itself.`);
}
