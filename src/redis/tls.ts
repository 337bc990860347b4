/**
 * What both planes hand to Node's TLS: one place, so that a certificate that the control plane
 * accepts is accepted by the data plane too, and what it refuses is refused.
 */
import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';

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
