/**
 * Where the monitor's server listens, and by which names it may be asked for.
 *
 * A page from elsewhere can make a browser ask us under a name of its own (DNS rebinding), and would
 * then read what it gets: keys stand in it. So whoever asks must use the name we are bound to.
 */
import { hostname } from 'node:os';
import { isIP } from 'node:net';
import { UsageError } from '../errors.js';

const loopback = '127.0.0.1';
const loopbackNames: readonly string[] = [loopback, '::1', 'localhost'];
const wildcards: readonly string[] = ['0.0.0.0', '::'];

export interface Where {
  readonly host: string;
  readonly port: number;
}

/** @throws UsageError when it is no `[host:]port`. */
export function readWhere(where: string): Where {
  const [, v6, name, digits] =
    /^(?:(?:\[([\da-f:.]+)\]|([^:[\]]+)):)?(\d{1,5})$/i.exec(where) ?? [];
  const port = Number(digits);
  if (digits !== undefined && port <= 65535) return { host: v6 ?? name ?? loopback, port };
  throw new UsageError(`--metrics ${where} is not [host:]port: write 9090 or 0.0.0.0:9090.`);
}

/**
 * Whether a Host header names what we are bound to. Where that is every address of the machine, any
 * address will do (it is names that can be turned against us), and the port may have been mapped.
 */
export function isOurs(header: string | undefined, bound: Where): boolean {
  const [, v6, name, digits] =
    /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(header ?? '') ?? [];
  const asked = (v6 ?? name)?.toLowerCase().replace(/\.$/, '');
  if (asked === undefined) return false;
  if (wildcards.includes(bound.host)) {
    return isIP(asked) > 0 || asked === 'localhost' || asked === hostname().toLowerCase();
  }
  if (Number(digits ?? 80) !== bound.port) return false;
  return loopbackNames.includes(bound.host)
    ? loopbackNames.includes(asked)
    : asked === bound.host.toLowerCase();
}
