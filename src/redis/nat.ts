/**
 * Addresses that servers announce, and where they are reached from here: the two differ behind
 * Docker, NAT and tunnels. Only what is dialled is translated; nodes keep the name that the cluster
 * gives them, which is what its redirections mean, and what a source dials for MIGRATE.
 */
import { isIPv6 } from 'node:net';
import { UsageError } from '../errors.js';

export interface Place {
  readonly host: string;
  readonly port: number;
}

export interface NatRule {
  readonly announced: Partial<Place> & Pick<Place, 'host'>;
  readonly reachable: Partial<Place> & Pick<Place, 'host'>;
}

/**
 * Reads `host:port=host:port`, or `host=host` for all ports of a host.
 * @throws UsageError when it is neither.
 */
export function parseNat(text: string): NatRule {
  const [announced, reachable, ...more] = text.split('=').map(parsePlace);
  if (!announced || !reachable || more.length > 0) throw malformed(text);
  if ((announced.port === undefined) !== (reachable.port === undefined)) throw malformed(text);
  return { announced, reachable };
}

/** Where a place is reached: by the rule for its very port, else by the one for its host. */
export function reach(place: Place, rules: readonly NatRule[]): Place {
  const ofHost = rules.filter(({ announced }) => announced.host === place.host);
  const rule =
    ofHost.find(({ announced }) => announced.port === place.port) ??
    ofHost.find(({ announced }) => announced.port === undefined);
  return rule ? { port: place.port, ...rule.reachable } : place;
}

function parsePlace(text: string): NatRule['announced'] | undefined {
  if (isIPv6(text)) return { host: text };
  const [, v6, name, port] = /^(?:\[([^\]]*)\]|([^:\s[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || (v6 !== undefined && !isIPv6(v6))) return undefined;
  if (port === undefined) return { host };
  return Number(port) > 0 && Number(port) < 65536 ? { host, port: Number(port) } : undefined;
}

function malformed(text: string): UsageError {
  // A URL may have a password in it.
  const shown = text.includes('@') ? '--nat' : `--nat ${text}`;
  return new UsageError(
    `${shown} is not a translation: write announced=reachable, both as host:port or both as host.`,
  );
}
