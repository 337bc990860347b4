/**
 * A source that is known by a name: Sentinels say which server is its master, and are asked again
 * for each connection, because after a failover it is another one
 * (https://redis.io/docs/latest/develop/reference/sentinel-clients/).
 */
import { ConnectionError, ImportError, UsageError } from '../errors.js';
import { withControl } from './control.js';
import { addressOf, type Endpoint, type NatRule, parseEndpoint, reach } from './endpoint.js';

const form = 'sentinel://[user:password@]name@host:port,host:port[/db]';
const defaultPort = 26379;

/**
 * Reads `sentinel://…`, or `sentinels://…` where all of them speak TLS. The user and password are the
 * source's; the Sentinels' own password comes by another way.
 * @returns an endpoint that is nowhere until it is located; undefined for other schemes.
 * @throws UsageError when it is malformed.
 */
export function parseSentinels(
  text: string,
  flag: string,
  nat: readonly NatRule[],
): Endpoint | undefined {
  const [, secure, rest = ''] = /^sentinel(s?):\/\/(.*)$/s.exec(text.trim()) ?? [];
  if (secure === undefined) return undefined;
  // Neither names nor places hold an @, so the last two end what stands before them.
  const parts = rest.split('@');
  const place = parts.pop() ?? '';
  const name = parts.pop() ?? '';
  const [hosts = '', db = ''] = place.split('/', 2);
  if (name === '' || hosts === '') throw new UsageError(`${flag} is malformed: write ${form}.`);
  const scheme = secure === '' ? 'redis' : 'rediss';
  const login = parts.length > 0 ? `${parts.join('@')}@` : '';
  const endpoints = hosts.split(',').map((host) => {
    const hasPort = /[^:\]]:\d+$|\]:\d+$/.test(host);
    return parseEndpoint(`${scheme}://${host}${hasPort ? '' : `:${String(defaultPort)}`}`, flag);
  });
  const template = parseEndpoint(`${scheme}://${login}${name}/${db}`, flag);
  return { ...template, sentinels: { name, endpoints, nat } };
}

/**
 * Where an endpoint is now: where it says, or where its Sentinels say.
 * @throws ConnectionError when none of them answers, or none knows the name.
 */
export async function locate(endpoint: Endpoint, timeoutMs: number): Promise<Endpoint> {
  const { sentinels } = endpoint;
  if (!sentinels) return endpoint;
  let reason: ImportError | undefined;
  for (const sentinel of sentinels.endpoints) {
    try {
      const place = await ask(sentinel, sentinels.name, timeoutMs);
      if (place) return { ...endpoint, ...reach(place, sentinels.nat) };
      reason = new ConnectionError(
        `The Sentinel at ${addressOf(sentinel)} knows no master named ${sentinels.name}: correct --from.`,
      );
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      reason ??= error;
    }
  }
  throw new ConnectionError(reason?.message ?? `--from names no Sentinel: write ${form}.`, {
    cause: reason,
  });
}

async function ask(
  sentinel: Endpoint,
  name: string,
  timeoutMs: number,
): Promise<{ host: string; port: number } | undefined> {
  return withControl(sentinel, { side: 'from', timeoutMs }, async (control) => {
    const reply = await control.call('SENTINEL', 'get-master-addr-by-name', name);
    if (!Array.isArray(reply)) return undefined;
    return { host: String(reply[0]), port: Number(reply[1]) };
  });
}
