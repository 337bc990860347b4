/** Opens the socket of a connection, by whatever way the endpoint names. */
import { connect as connectTcp, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Endpoint } from './endpoint.js';
import { tlsOptions } from './tls.js';

/** @param onread reads what comes into a buffer of the caller's; undefined: it comes as `data`. */
export function openSocket(
  { host, port, socket, tls, trust }: Endpoint,
  onread?: OnReadOpts,
): Socket {
  const reading = onread && { onread };
  const target = { host, port, noDelay: true, ...reading };
  if (tls) return connectTls({ ...target, ...tlsOptions(host, trust) });
  return connectTcp(socket === undefined ? target : { path: socket, ...reading });
}
