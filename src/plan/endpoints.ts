/**
 * From options to endpoints that can be connected to: what the address leaves open (passwords,
 * certificates) is read from where the options say it is.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { AccessOptions, QueueAccessOptions } from '../options/access.js';
import type { EndpointOptions } from '../options/options.js';
import { messageOf, UsageError } from '../errors.js';
import {
  addressOf,
  type Endpoint,
  parseEndpoint,
  parseNat,
  type TlsTrust,
  withPassword,
} from '../redis/endpoint.js';
import type { Side } from '../redis/sentences.js';
import { parseSentinels } from '../redis/control.js';

/** What the options say of one side's access, whatever the side. */
type Access = ReturnType<typeof accessTo>;

/** What reading an endpoint takes of the options; a verb need not have those of all sides. */
type GivenAccess = Partial<AccessOptions & QueueAccessOptions> & {
  readonly from?: string | readonly string[];
  readonly fromCluster?: string | undefined;
};
type EndpointAccess = GivenAccess & Pick<AccessOptions, 'nat'>;

/**
 * @param text the endpoint as given.
 * @param flag where it was given.
 * @throws UsageError when it is malformed, or a file that belongs to it can't be used.
 */
export async function readEndpoint(
  text: string,
  side: Side,
  options: EndpointAccess,
  flag = `--${side}`,
): Promise<Endpoint> {
  const nat = options.nat.map(parseNat);
  const sentinels = flag === '--from' ? parseSentinels(text, flag, nat) : undefined;
  return withAccess(sentinels ?? parseEndpoint(text, flag), side, options, flag);
}

/**
 * The node of the cluster that --to names, by which the others are found.
 * @throws UsageError as `readEndpoint`, and when it names another database than 0.
 */
export async function readSeed(text: string, options: EndpointAccess): Promise<Endpoint> {
  const seed = await readEndpoint(text, 'to', options);
  if (seed.db === 0) return seed;
  throw new UsageError('A cluster has only database 0: take the database out of --to.');
}

/**
 * The endpoint with what the options say of passwords and certificates.
 * @throws UsageError when a file that belongs to it can't be used.
 */
export async function withAccess(
  endpoint: Endpoint,
  side: Side,
  options: GivenAccess,
  flag = `--${side}`,
): Promise<Endpoint> {
  const access = accessTo(side, options);
  const password =
    access.passwordFile === undefined
      ? access.password
      : (await readGiven(access.passwordFile, `--${side}-password-file`)).replace(/\r?\n$/, '');
  const others = side === 'from' ? [options.from ?? [], options.fromCluster ?? []].flat() : [];
  // What was said for TLS is for those of the sources that speak it.
  const isForOthers = !endpoint.tls && others.some((other) => /^(rediss|sentinels):/i.test(other));
  const trust = isForOthers ? {} : await readTrust(endpoint, side, access, flag);
  return {
    ...withPassword(endpoint, password),
    ...trust,
    ...sentinelAccess(endpoint, trust, options),
  };
}

/** The Sentinels are trusted as the source is, and have a password of their own. */
function sentinelAccess(
  { sentinels }: Endpoint,
  trust: { readonly trust?: TlsTrust },
  { sentinelPassword }: Partial<AccessOptions>,
): Pick<Endpoint, 'sentinels'> {
  if (!sentinels) return {};
  const endpoints = sentinels.endpoints.map((one) => ({
    ...withPassword(one, sentinelPassword),
    ...trust,
  }));
  return { sentinels: { ...sentinels, endpoints } };
}

/** The Redis that holds the queue. @throws UsageError as `readEndpoint` does. */
export function readQueueEndpoint(
  text: string,
  options: QueueAccessOptions & Pick<AccessOptions, 'sentinelPassword'>,
): Promise<Endpoint> {
  return withAccess(parseEndpoint(text, '--queue'), 'queue', options);
}

/** Whether a side's password is still to be asked for. */
export function lacksPassword(
  side: Side,
  options: Partial<AccessOptions & Pick<EndpointOptions, 'to' | 'from' | 'fromCluster'>>,
): boolean {
  const { password, passwordFile } = accessTo(side, options);
  if ((password ?? '') !== '' || passwordFile !== undefined) return false;
  if (side === 'to') {
    return options.to !== undefined && !parseEndpoint(options.to, '--to').password;
  }
  // Programs may name a single source without a list around it.
  const servers = [options.from ?? []]
    .flat()
    .filter((text) => !isDump(text))
    .map((text) => parseSentinels(text, '--from', []) ?? parseEndpoint(text, '--from'));
  if (options.fromCluster !== undefined) {
    servers.push(parseEndpoint(options.fromCluster, '--from-cluster'));
  }
  return servers.some((server) => !server.password);
}

/** What a run that checks no certificates must say, loudly. */
export function insecurity(endpoint: Endpoint, side: Side): string | undefined {
  if (!endpoint.tls || endpoint.trust?.insecure !== true) return undefined;
  return `--${side}-tls-insecure: the certificate of ${addressOf(endpoint)} is not checked. Anyone on the network path can pretend to be it, and read and change everything, the password included.`;
}

function accessTo(side: Side, options: Partial<AccessOptions & QueueAccessOptions>) {
  if (side === 'queue') {
    return {
      password: options.queuePassword,
      passwordFile: options.queuePasswordFile,
      ca: options.queueTlsCa,
      cert: options.queueTlsCert,
      key: options.queueTlsKey,
      servername: options.queueTlsServername,
      insecure: options.queueTlsInsecure ?? false,
    };
  }
  return side === 'from'
    ? {
        password: options.fromPassword,
        passwordFile: options.fromPasswordFile,
        ca: options.fromTlsCa,
        cert: options.fromTlsCert,
        key: options.fromTlsKey,
        servername: options.fromTlsServername,
        insecure: options.fromTlsInsecure ?? false,
      }
    : {
        password: options.toPassword,
        passwordFile: options.toPasswordFile,
        ca: options.toTlsCa,
        cert: options.toTlsCert,
        key: options.toTlsKey,
        servername: options.toTlsServername,
        insecure: options.toTlsInsecure ?? false,
      };
}

function nameOf(endpoint: Endpoint): string {
  return endpoint.sentinels?.name ?? addressOf(endpoint);
}

async function readTrust(
  endpoint: Endpoint,
  side: Side,
  { ca, cert, key, servername, insecure }: Access,
  flag: string,
): Promise<{ trust?: TlsTrust }> {
  const name = `--${side}-tls`;
  const given = [ca, cert, key, servername].some((value) => value !== undefined) || insecure;
  if (!given) return {};
  if (!endpoint.tls) {
    throw new UsageError(
      `${name}-… is given, but ${flag} ${nameOf(endpoint)} does not ask for TLS: write it as ${endpoint.sentinels ? 'sentinels://' : 'rediss://'}….`,
    );
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(`${name}-cert and ${name}-key belong together: give both, or neither.`);
  }
  const trust: TlsTrust = {
    ...(ca !== undefined && { ca: await readGiven(ca, `${name}-ca`) }),
    ...(cert !== undefined && { cert: await readGiven(cert, `${name}-cert`) }),
    ...(key !== undefined && { key: await readGiven(key, `${name}-key`) }),
    ...(servername !== undefined && { servername }),
    insecure,
  };
  checkPem(trust, name);
  return { trust };
}

/** Found out here, because the connections' own errors would not tell which file it is. */
function checkPem({ ca, cert, key }: TlsTrust, name: string): void {
  if (ca !== undefined) usable(() => new X509Certificate(ca), `${name}-ca`, 'certificates');
  if (cert === undefined || key === undefined) return;
  usable(() => createSecureContext({ cert }), `${name}-cert`, 'a certificate');
  usable(
    () => createSecureContext({ cert, key }),
    `${name}-key`,
    'the private key of that certificate',
  );
}

function usable(use: () => unknown, flag: string, what: string): void {
  try {
    use();
  } catch (error) {
    throw new UsageError(`${flag} does not hold ${what} in PEM form: give another file.`, {
      cause: error,
    });
  }
}

async function readGiven(path: string, flag: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const words = messageOf(error);
    throw new UsageError(`${flag} can't be read (${words}): give another file.`, { cause: error });
  }
}

/* Which of the sources are files, and what the run knows of such a one. */

const standardInput = '-';
/** What can only be a server: with a scheme, or `host:port`, `[v6]:port`, `host:port/db`. */
const server = /^(\w+:\/\/|(\[[^\]]*\]|[^:/\s]+):\d+(\/\d*)?$)/;

/** @param text a source as given in `--from`. */
export function isDump(text: string): boolean {
  return text === standardInput || (!server.test(text) && existsSync(text));
}

/** Whether it can only be the name of a file: a server has a port. Text with an @ may be a password. */
export function namesFile(text: string): boolean {
  return !server.test(text) && /^[^@:\s]+$/.test(text);
}

export function dumpsIn({ from }: Pick<EndpointOptions, 'from'>): readonly string[] {
  return from.filter(isDump);
}

/**
 * What the run's job knows a file by: a file of another name, or one that was written since, is
 * another job, whose journal says nothing of this one.
 * @param databases that are wanted of it.
 */
export function jobOfFile(path: string, identity: string, databases: string): string {
  return `${resolve(path)} ${identity}/${databases}`;
}
