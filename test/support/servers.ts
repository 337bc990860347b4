/**
 * Real redis-servers for tests, the demo and the benchmark: each on a free port of loopback, with a
 * temporary folder of its own and nothing kept on disk.
 *
 * They stand in process groups of their own, so that Ctrl-C reaches us and not them: a run that is
 * being interrupted still needs its servers. In turn they are stopped, each by its pid, whenever this
 * process ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findRedis } from '../../scripts/find-redis.mjs';
import type { Authority, Certificate } from './certificates.js';
import { ping } from './ping.js';
import { freePort } from './ports.js';
import { waitFor } from './wait.js';

export interface ServerOptions {
  /** Lines of redis.conf, behind the ones that every server gets. */
  readonly config?: readonly string[];
  /** Another redis-server, say an older version. */
  readonly binary?: string;
  /** Start it as a Sentinel, which knows other commands and keeps no data. */
  readonly sentinel?: boolean;
  /** Speak nothing but TLS, with this certificate. */
  readonly tls?: { readonly authority: Authority; readonly certificate: Certificate };
}

export interface Server {
  readonly host: string;
  readonly port: number;
  /** `127.0.0.1:port` */
  readonly address: string;
  /** Another one after each `revive`. */
  readonly pid: number;
  readonly directory: string;
  /** A client for the test's own questions; logged in if the config has a `requirepass`. */
  readonly client: Redis;
  log(): string;
  /** Kills it without a warning; what it has on disk stays. */
  crash(): Promise<void>;
  /** Starts it again, with what it has on disk and under the same port; it has loaded that then. */
  revive(): Promise<void>;
  /** Stops it at once, and removes its folder. */
  stop(): Promise<void>;
}

const host = '127.0.0.1';
/** What must not outlive this process. */
const running = new Map<ChildProcess, string>();

process.once('exit', () => {
  for (const [child, directory] of running) {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
});
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => {
    // Whoever else listens knows better when to end.
    if (process.listenerCount(signal) === 1) process.exit(code);
  });
}

/** Starts a server; it answers PING when this resolves. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  for (let tries = 1; ; tries++) {
    try {
      return await launch(await freePort(), options);
    } catch (error) {
      // Somebody else was faster with the port.
      if (tries < 5 && String(error).includes('Address already in use')) continue;
      throw error;
    }
  }
}

async function launch(
  port: number,
  { config = [], tls, ...options }: ServerOptions,
): Promise<Server> {
  const program = options.binary ?? findRedis('redis-server') ?? '';
  if (program === '') throw new Error('there is no redis-server: run "npm run setup"');
  const directory = mkdtempSync(join(tmpdir(), 'cluster-import-'));
  const file = join(directory, 'redis.conf');
  const logFile = join(directory, 'redis.log');
  writeFileSync(
    file,
    [
      `bind ${host}`,
      ...(tls ? tlsConfig(port, tls) : [`port ${String(port)}`]),
      `dir ${directory}`,
      `logfile ${logFile}`,
      // Whoever copies append-only files finds all in them that was answered: by default, what is written may wait
      // for two seconds where the disk is busy.
      ...(options.sentinel ? [] : ['save ""', 'appendonly no', 'appendfsync always']),
      ...config,
    ].join('\n'),
  );
  const log = () => readFileSync(logFile, 'utf8');
  let child: ChildProcess;
  let exited: Promise<void>;
  let hasBeenUp = false;

  async function revive(): Promise<void> {
    for (;;) {
      const loggedBefore = hasBeenUp ? log().length : 0;
      try {
        await start();
        return;
      } catch (error) {
        // Whoever looks for a free port has it for a moment.
        const isTaken = log().slice(loggedBefore).includes('Address already in use');
        if (!hasBeenUp || !isTaken) throw error;
      }
    }
  }

  async function start(): Promise<void> {
    child = spawn(program, options.sentinel ? [file, '--sentinel'] : [file], {
      stdio: 'ignore',
      detached: true,
      argv0: 'redis-server',
    });
    running.set(child, directory);
    exited = new Promise((resolve) => {
      child.once('close', () => {
        resolve();
      });
      child.once('error', () => {
        resolve();
      });
    });
    await waitFor(`redis-server on port ${String(port)}`, async () => {
      if (child.exitCode !== null) return 'ended';
      return (await ping(host, port, 1000, tls !== undefined)) && 'ready';
    });
    if (child.exitCode !== null || child.pid === undefined) throw new Error(log());
    hasBeenUp = true;
  }

  async function crash(): Promise<void> {
    child.kill('SIGKILL');
    await exited;
    running.delete(child);
  }

  let client: Redis | undefined;
  async function stop(): Promise<void> {
    client?.disconnect();
    await crash();
    rmSync(directory, { recursive: true, force: true });
  }

  try {
    await revive();
  } catch (error) {
    await stop();
    throw error;
  }
  const password = config.find((line) => line.startsWith('requirepass '))?.slice(12);
  return {
    host,
    port,
    address: `${host}:${String(port)}`,
    get pid() {
      return child.pid ?? 0;
    },
    directory,
    get client() {
      client ??= connect(port, password, tls && trusting(tls));
      return client;
    },
    log,
    crash,
    revive,
    stop,
  };
}

type Tls = NonNullable<ServerOptions['tls']>;

function tlsConfig(port: number, { authority, certificate }: Tls): string[] {
  return [
    'port 0',
    `tls-port ${String(port)}`,
    `tls-cert-file ${certificate.certFile}`,
    `tls-key-file ${certificate.keyFile}`,
    `tls-ca-cert-file ${authority.certFile}`,
    'tls-auth-clients no',
  ];
}

/** The test's own questions are put whatever the certificate says. */
function trusting({ authority }: Tls): { ca: string; rejectUnauthorized: boolean } {
  return { ca: authority.cert, rejectUnauthorized: false };
}

function connect(
  port: number,
  password: string | undefined,
  tls: ReturnType<typeof trusting> | undefined,
): Redis {
  const client = new Redis({
    host,
    port,
    ...(password !== undefined && { password: password.replace(/^("|')(.*)\1$/, '$2') }),
    ...(tls && { tls }),
    protocol: 2,
    disableClientInfo: true,
    // For seconds: a server that was just started again may not be met at the first try.
    maxRetriesPerRequest: 20,
    retryStrategy: (times) => Math.min(times * 20, 200),
  });
  // Servers come and go in tests; commands that fail say so by themselves.
  client.on('error', () => undefined);
  return client;
}

/** How many keys these servers hold together, each in its first database. */
export async function keysAt(servers: readonly Pick<Server, 'client'>[]): Promise<number> {
  const sizes = await Promise.all(servers.map(({ client }) => client.dbsize()));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * Waits until a server has worked off all that a run has sent which is over: until nobody is connected
 * any more but the test itself. (Nodes to which a source has sent keys by MIGRATE are never left alone:
 * it keeps those connections, and sends nothing but what it answers for.)
 */
export async function leftAlone({ address, client }: Server): Promise<void> {
  await waitFor(`${address} to be left alone`, async () => {
    const [own, list] = await Promise.all([client.client('ID'), client.client('LIST')]);
    const others = String(list)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith(`id=${String(own)} `));
    return others.every((line) => / flags=[MS] /.test(line));
  });
}

/** Runs some work with servers that are stopped whatever becomes of it. */
export async function using<S extends { stop(): Promise<void> }, T>(
  started: Promise<S>,
  work: (server: S) => Promise<T>,
): Promise<T> {
  const server = await started;
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}
