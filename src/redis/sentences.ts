/**
 * What servers and sockets say, made into one plain sentence that names the server and the way
 * out. A table, because each is a fact about somebody else's wording: the server's words decide.
 */
import type { Endpoint } from './endpoint.js';

/** Which an endpoint is; its flag is `--from`, `--to` or `--queue`. */
export type Side = 'from' | 'to' | 'queue';

export interface Situation {
  readonly side: Side;
  readonly address: string;
  readonly endpoint: Endpoint;
  readonly timeoutMs: number;
  readonly command: string;
}

type Saying = (situation: Situation, words: string) => string;

const wrongPassword: Saying = ({ address, side, endpoint }) =>
  `${address} refuses the password${endpoint.username === undefined ? '' : ` of user ${endpoint.username}`}: give the right one in ${passwordPlaces(side)}.`;

const sayings: readonly (readonly [RegExp, Saying])[] = [
  [
    /ECONNREFUSED/,
    ({ address, side }) => `Nothing listens at ${address}: start the server, or correct --${side}.`,
  ],
  [
    /ENOTFOUND|EAI_/,
    ({ endpoint, side }) => `The name ${endpoint.host} can't be resolved: correct --${side}.`,
  ],
  [
    /EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/,
    ({ address, side }) =>
      `There is no way to ${address} from here: check the network, or correct --${side}.`,
  ],
  [
    /ETIMEDOUT|timed out/,
    ({ address, endpoint, timeoutMs, side }) =>
      `${address} did not answer within ${String(timeoutMs)} ms: check that it is up and reachable${endpoint.tls ? ` and speaks TLS (else write --${side} redis://…)` : ''}, or raise --timeout.`,
  ],
  // A refused client's certificate shows as the server's alert.
  [
    /alert (certificate required|handshake failure)/i,
    ({ address, side }) =>
      `${address} requires a client certificate: give it with --${side}-tls-cert and --${side}-tls-key.`,
  ],
  [
    /alert (unknown ca|bad certificate|certificate (unknown|expired|revoked)|unsupported certificate)/i,
    ({ address, side }, words) =>
      `${address} does not accept our certificate (${words}): give one that its authority signed with --${side}-tls-cert and --${side}-tls-key.`,
  ],
  [
    /wrong version number|packet length too long|before secure TLS connection|SSL routines/i,
    ({ address, side }) =>
      `${address} does not speak TLS: write --${side} redis://… instead of rediss://….`,
  ],
  [
    /does not match certificate's altnames|ERR_TLS_CERT_ALTNAME/i,
    ({ address, side, endpoint }, words) =>
      `The certificate of ${address} is for another name than ${endpoint.trust?.servername ?? endpoint.host} (${words}): pass the name that it must be for in --${side}-tls-servername.`,
  ],
  [
    /certificate (has expired|is not yet valid)/i,
    ({ address }, words) =>
      `The certificate of ${address} is not accepted (${words}): renew it, or set the clocks right.`,
  ],
  [
    /certificate|ERR_TLS/i,
    ({ address, side }, words) =>
      `The certificate of ${address} is not accepted (${words}): give the certificate of the authority that signed it with --${side}-tls-ca.`,
  ],
  [
    /Unknown RESP type/,
    ({ address, side }) => `What listens at ${address} is not a Redis server: correct --${side}.`,
  ],
  [
    /Connection is closed|ECONNRESET|EPIPE|ended by/,
    ({ address, endpoint, side }) =>
      `${address} closed the connection${endpoint.tls ? '' : `: if it requires TLS, write --${side} rediss://…`}.`,
  ],
  [
    /^(NOAUTH|ERR operation not permitted)/,
    ({ address, side }) => `${address} needs a password: give it in ${passwordPlaces(side)}.`,
  ],
  [/^(WRONGPASS|ERR invalid password)/, wrongPassword],
  [
    /^ERR.*AUTH.*(without any password|no password is set)/,
    ({ address, side }) =>
      `${address} has no password, but one was given: take it out of --${side}, or unset ${passwordVariable(side)}.`,
  ],
  [
    /^ERR wrong number of arguments for 'auth'/,
    ({ address, side }) =>
      `${address} is older than 6.0 and has no users: give --${side} only a password, as in redis://:password@host.`,
  ],
  [
    /^NOPERM/,
    ({ address, endpoint, command }) =>
      `${address} does not let ${endpoint.username === undefined ? 'the default user' : `user ${endpoint.username}`} run ${command}: allow it with ACL SETUSER ${endpoint.username ?? 'default'} ${ruleFor(command)}.`,
  ],
  [
    /^LOADING/,
    ({ address }) => `${address} is still loading its data: start again when it is done.`,
  ],
  [
    /^MASTERDOWN/,
    ({ address }) =>
      `${address} is a replica that has lost its master: start again when it is back.`,
  ],
  [
    /^NOREPLICAS/,
    ({ address }, words) =>
      `${address} refuses writes, and with them deletes, because too few replicas follow it (${words}): connect them, or set min-replicas-to-write to 0.`,
  ],
  [
    /^MISCONF/,
    ({ address }) =>
      `${address} refuses writes, and with them deletes, because it could not save its data (MISCONF): let a BGSAVE succeed, or set stop-writes-on-bgsave-error to no.`,
  ],
  [/^BUSY /, ({ address }) => `${address} is busy with a script: start again when it is done.`],
  [
    /^DENIED/,
    ({ address }) =>
      `${address} is in protected mode and takes no connections from other hosts: give it a password, or set protected-mode no.`,
  ],
  [
    /max number of clients/,
    ({ address }) =>
      `${address} has as many clients as its maxclients allows: raise that, or close some.`,
  ],
  [
    /^ERR (DB index is out of range|invalid DB index|SELECT is not allowed)/,
    ({ address, endpoint, side }) =>
      `${address} has no database ${String(endpoint.db)}: correct --${side}${side === 'from' ? ', or --db' : ''}.`,
  ],
  [
    /^ERR unknown command/,
    ({ address, command }) =>
      `${address} has no command ${command}: it may be renamed, or disabled by its administrator.`,
  ],
];

/** @param words an error reply without its `-`, or a socket's error message. */
export function sentence(words: string, situation: Situation): string {
  const saying = sayings.find(([pattern]) => pattern.test(words))?.[1];
  return (
    saying?.(situation, words) ?? `${situation.address} answers ${situation.command} with: ${words}`
  );
}

/** Commands whose first argument says which of several they are. */
const containers: ReadonlySet<string> = new Set([
  'CLIENT',
  'CLUSTER',
  'CONFIG',
  'MEMORY',
  'SCRIPT',
]);

/** `CLUSTER INFO`, but `GET`: as far as rights tell commands apart. */
export function nameOfCommand([name, first]: readonly [string, ...unknown[]]): string {
  return containers.has(name) && typeof first === 'string' ? `${name} ${first}` : name;
}

/** What allows it: `+cluster|info`. */
export function ruleFor(command: string): string {
  return `+${command.toLowerCase().replace(' ', '|')}`;
}

function passwordPlaces(side: Side): string {
  return `--${side} redis://:password@host:port or in ${passwordVariable(side)}`;
}

function passwordVariable(side: Side): string {
  return `CLUSTER_IMPORT_${side.toUpperCase()}_PASSWORD`;
}
