/**
 * Where a server is and how to log in, from every form that people type.
 *
 * Own code rather than `URL`: passwords are pasted in with `/`, `#` and `@` in them, where `URL`
 * would silently take half of one for the host; and `host:port` is no URL at all.
 */
import { isIP, isIPv6 } from 'node:net';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import { UsageError } from '../errors.js';

export interface Endpoint {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** A socket of this machine, by its path, in the place of host and port. */
  readonly socket?: string;
  readonly tls: boolean;
  /** For TLS: which authorities to trust; undefined: those that the system trusts. */
  readonly trust?: TlsTrust;
  /** The Sentinels that know where it is at the moment; undefined: it stays where it is. */
  readonly sentinels?: Sentinels;
  readonly username?: string;
  readonly password?: string;
  /** The database's number. */
  readonly db: number;
}

/** The Sentinels that know where a source is. */
interface Sentinels {
  /** The master's name. */
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
  /** How what they say is reached from here. */
  readonly nat: readonly NatRule[];
}

const forms = 'host:port, [v6]:port, redis://[user[:password]@]host[:port][/db] or rediss://…';
const defaultPort = 6379;
const maxPort = 65535;

/**
 * Reads `host:port[/db]`, `[v6]:port[/db]`, `redis://…` and `rediss://…` (TLS).
 * @param flag is named in errors; the text is not, since what is malformed may be a password.
 * @throws UsageError when the text is none of these.
 */
export function parseEndpoint(text: string, flag: string): Endpoint {
  const [, scheme, rest = ''] = /^(?:(\w*):\/\/)?(.*)$/s.exec(text.trim()) ?? [];
  if (scheme !== undefined && scheme !== 'redis' && scheme !== 'rediss') {
    throw new UsageError(`${flag} begins with ${scheme}://, which is not one of ${forms}.`);
  }
  // A path never holds an @, so the last one ends the credentials, whatever stands in them.
  const at = rest.lastIndexOf('@');
  if (at !== -1 && scheme === undefined) {
    throw new UsageError(`${flag} holds a password: write it as redis://user:password@host:port.`);
  }
  const place = rest.slice(at + 1);
  const [, v6, name, portText, dbText] =
    /^(?:\[([^\]]*)\]|([^:/[\]\s?#]+))(?::([^/]*))?(?:\/(.*))?$/.exec(place) ?? [];
  const host = v6 ?? name;
  if (host === undefined || (v6 !== undefined && !isIPv6(v6))) throw malformed(flag);
  if (portText === undefined && scheme === undefined) {
    throw new UsageError(`${flag} has no port: write it as ${host}:${String(defaultPort)}.`);
  }
  return {
    host,
    port: portText === undefined ? defaultPort : readPort(portText, flag),
    tls: scheme === 'rediss',
    ...(at !== -1 && credentials(rest.slice(0, at), flag)),
    db: readDb(dbText ?? '', flag),
  };
}

/** The endpoint with a password that came by another way, unless it holds one itself. */
export function withPassword(endpoint: Endpoint, password: string | undefined): Endpoint {
  return password === undefined || endpoint.password ? endpoint : { ...endpoint, password };
}

/** `host:port`, or `[v6]:port`. */
export function addressOf({ host, port }: Pick<Endpoint, 'host' | 'port'>): string {
  // What has no port is a path.
  if (port === 0) return host;
  return `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
}

/** `host:port/db`: for logs, reports and errors. Holds no secret. */
export function printable(endpoint: Endpoint): string {
  return `${addressOf(endpoint)}/${String(endpoint.db)}`;
}

function malformed(flag: string): UsageError {
  return new UsageError(`${flag} is not an endpoint: write ${forms}.`);
}

function credentials(text: string, flag: string): Pick<Endpoint, 'username' | 'password'> {
  const colon = text.indexOf(':');
  const username = decode(colon === -1 ? text : text.slice(0, colon), flag);
  const password = colon === -1 ? '' : decode(text.slice(colon + 1), flag);
  // A user without a password still has to log in: the server decides whether that is enough.
  if (username !== '') return { username, password };
  return password === '' ? {} : { password };
}

function decode(text: string, flag: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(
      `${flag} has a % in its user or password that is not followed by two hex digits: write % as %25.`,
    );
  }
}

function readPort(text: string, flag: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= maxPort) return port;
  throw new UsageError(
    `${flag} has a port that is not a number from 1 to ${String(maxPort)}: write ${forms}.`,
  );
}

function readDb(text: string, flag: string): number {
  if (text === '') return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(
    /^\d{0,9}[?#]/.test(text)
      ? `${flag} has something behind its database: write it as in host:port/3.`
      : `${flag} has a database that is not a number: write it as in host:port/3.`,
  );
}

/*
 * What both planes hand to Node's TLS: one place, so that a certificate that the control plane
 * accepts is accepted by the data plane too, and what it refuses is refused.
 */

/** How to trust a server, and how to be trusted by it. All may be left out. */
export interface TlsTrust {
  /** The certificates of the authorities that may have signed the server's, as PEM. */
  readonly ca?: string;
  /** Our own certificate and its key, as PEM, for servers that ask for one. */
  readonly cert?: string;
  readonly key?: string;
  /** The name that the certificate must be for, where it is not the host that is dialled. */
  readonly servername?: string;
  /** Accept any certificate: anyone on the network path can read and change everything. */
  readonly insecure?: boolean;
}

/** The certificate must be for `servername`, or else for the host; both may be an address. */
export function tlsOptions(host: string, trust: TlsTrust = {}): ConnectionOptions {
  const { ca, cert, key, insecure = false } = trust;
  const name = trust.servername ?? host;
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    // The name travels in the hello, where addresses have no place; they are checked all the same.
    ...(isIP(name) === 0 && { servername: name }),
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    rejectUnauthorized: !insecure,
  };
}

/*
 * Addresses that servers announce, and where they are reached from here: the two differ behind
 * Docker, NAT and tunnels. Only what is dialled is translated; nodes keep the name that the cluster
 * gives them, which is what its redirections mean, and what a source dials for MIGRATE.
 */

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
  if (!announced || !reachable || more.length > 0) throw malformedRule(text);
  if ((announced.port === undefined) !== (reachable.port === undefined)) throw malformedRule(text);
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

function malformedRule(text: string): UsageError {
  // A URL may have a password in it.
  const shown = text.includes('@') ? '--nat' : `--nat ${text}`;
  return new UsageError(
    `${shown} is not a translation: write announced=reachable, both as host:port or both as host.`,
  );
}
