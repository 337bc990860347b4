/**
 * The import of one server, with all of its databases, or of one file: as plain data, which any process
 * can run. The databases of a server stay together, because its write counter is the server's.
 *
 * It holds no secrets. Whoever runs it has them by other ways: a process of this machine is given them
 * over its own channel, one of another machine reads them from its environment and its files.
 */
import { createHash } from 'node:crypto';
import type { AccessOptions } from '../options/access.js';
import type { ImportOptions } from '../options/options.js';
import type { Origin } from '../plan/origins.js';
import type { Facts } from '../plan/preflight.js';
import { byServer, isServer, keyCountOf, type ServerSourceFacts } from '../plan/source-facts.js';
import { addressOf, type Endpoint, parseEndpoint } from '../redis/endpoint.js';
import { ownName } from '../redis/identity.js';
import type { FollowCheckpoints } from '../run/following.js';
import { areOfCluster, type ImportPlan, mayShareNames } from '../run/source-runs.js';
import type { JobEnd, SourceProgress } from './job-news.js';

/** A plan that others can carry out: from the checks on, so with all options. */
export interface SpreadPlan extends ImportPlan {
  readonly options: ImportOptions;
}

export interface SourceJob {
  /** The address of the server, or the path of the file: names it among the jobs of its run. */
  readonly name: string;
  /** Its sources, as the report names them. */
  readonly sources: readonly string[];
  /** The databases of the server; none: the source is the file in `options.from`. */
  readonly origins: readonly Origin[];
  readonly options: ImportOptions;
  readonly decision: Pick<ImportPlan['decision'], 'startedEmpty' | 'goesOn'>;
  /** Where the scans of an earlier run had come to, by source. */
  readonly startAts: ImportPlan['startAts'];
  readonly follow: FollowedSources | undefined;
  /** What its connections are called at servers, whoever has it; no blanks. */
  readonly work: string;
  /** How many keys its sources hold as it begins; 0 of a file, which keeps them. */
  readonly keys: number;
  /** 1 for the first. */
  readonly attempt: number;
  /** What attempts before this one have done, by source. */
  readonly before: Readonly<Record<string, SourceProgress>>;
}

/** How a job goes about sources that are followed. */
interface FollowedSources {
  /** From where the following goes on, by database (run/followed-here.ts); what is not in there is copied first. */
  readonly at: FollowCheckpoints;
  /** Another process of this run has followed them. */
  readonly isTakenUp: boolean;
  /** Another source may have keys of the same names: who has them first is asked for. */
  readonly mayShareNames: boolean;
  /** The sources are masters of one cluster, between which keys may move. */
  readonly areOfCluster: boolean;
}

/** What a job needs besides itself to log in: passwords, and the files of this machine that hold such. */
export interface JobSecrets extends Partial<AccessOptions> {
  /** Of its servers, where there are several, by address. */
  readonly byServer?: Readonly<Record<string, Partial<AccessOptions>>>;
}

/**
 * @param plan of the whole run.
 * @param atOnce how many jobs there may be where each lasts as long as the run, because its sources are followed.
 */
export function jobsOf(
  facts: Facts,
  { options, decision, ...plan }: SpreadPlan,
  atOnce: number,
): SourceJob[] {
  const { startedEmpty, goesOn } = decision;
  const servers = byServer(facts.sources, (source) => source);
  const groups = options.follow ? dealt(servers, atOnce).map((group) => group.flat()) : servers;
  return groups.map((sources) => {
    const servers = sources.filter(isServer);
    const names = sources.map(({ name }) => name);
    const [first] = names as [string];
    const addresses = [...new Set(servers.map(({ endpoint }) => addressOf(endpoint)))];
    const name = addresses.length > 0 ? addresses.join(', ') : first;
    return {
      name,
      work: `${ownName}:${digestOf(facts.target.name, name)}`,
      sources: names,
      keys: keyCountOf(sources),
      origins: servers.map(originOf),
      options: optionsOf(options, servers.length > 0 ? [] : names),
      decision: { startedEmpty, goesOn },
      startAts: Object.fromEntries(
        Object.entries(plan.startAts).filter(([name]) => names.includes(name)),
      ),
      follow: options.follow
        ? {
            at: {},
            isTakenUp: false,
            mayShareNames: mayShareNames(facts.sources, options),
            areOfCluster: areOfCluster(facts.sources),
          }
        : undefined,
      attempt: 1,
      before: {},
    };
  });
}

/** As many groups as there may be, as equal as can be. */
function dealt<T>(all: readonly T[], groupCount: number): T[][] {
  const groups = Array.from({ length: Math.min(groupCount, all.length) }, (): T[] => []);
  for (const [at, one] of all.entries()) groups[at % groups.length]?.push(one);
  return groups;
}

/** The secrets of each job. */
export function secretsOf({ sources, target }: Facts): (job: SourceJob) => JobSecrets {
  const [master] = target.masters;
  const toPassword = master && target.topology.endpointOf(master.node).password;
  const byAddress = new Map(
    sources.filter(isServer).map(({ endpoint }) => [
      addressOf(endpoint),
      {
        fromPassword: endpoint.password,
        sentinelPassword: endpoint.sentinels?.endpoints[0]?.password,
      },
    ]),
  );
  return ({ origins }) => {
    const addresses = [...new Set(origins.map(({ endpoint }) => addressOf(endpoint)))];
    const byServer = addresses.map((address) => [address, byAddress.get(address) ?? {}] as const);
    return { toPassword, ...byServer[0]?.[1], byServer: Object.fromEntries(byServer) };
  };
}

/** The same at each start of the run, and for each who takes the job. */
function digestOf(...words: readonly string[]): string {
  const bytes = createHash('sha256').update(JSON.stringify(words)).digest();
  return bytes.toString('hex', 0, 8);
}

function originOf({ endpoint, inCluster, job, file }: ServerSourceFacts): Origin {
  return {
    endpoint: withoutSecrets(endpoint),
    inCluster,
    job: job ?? '',
    ...(file !== undefined && { file }),
  };
}

function withoutSecrets(endpoint: Endpoint): Endpoint {
  const { host, port, socket, tls, username, db, sentinels } = endpoint;
  return {
    host,
    port,
    tls,
    db,
    ...(socket !== undefined && { socket }),
    ...(username !== undefined && { username }),
    ...(sentinels && {
      sentinels: { ...sentinels, endpoints: sentinels.endpoints.map(withoutSecrets) },
    }),
  };
}

/** What only the whole run has, it does itself: files, what people look at, function libraries. */
function optionsOf(options: ImportOptions, from: readonly string[]): ImportOptions {
  const { tls, username, host, port } = parseEndpoint(options.to, '--to');
  const user = username === undefined ? '' : `${encodeURIComponent(username)}@`;
  return {
    ...options,
    from,
    // From files nothing is ever deleted.
    copy: options.copy || from.length > 0,
    fromCluster: undefined,
    to: `${tls ? 'rediss' : 'redis'}://${user}${addressOf({ host, port })}`,
    fromPassword: undefined,
    fromPasswordFile: undefined,
    toPassword: undefined,
    toPasswordFile: undefined,
    sentinelPassword: undefined,
    functions: options.functions && from.length > 0,
    workers: 1,
    metrics: undefined,
    push: undefined,
    control: false,
    measureLatency: false,
    quiet: true,
    report: undefined,
    failedKeys: undefined,
    state: false,
  };
}

/** How a job ends that was stopped before it began. */
export function endWithNothing({ sources }: SourceJob): JobEnd {
  return {
    sources: Object.fromEntries(sources.map((name) => [name, { error: null, isFinal: false }])),
    news: {
      sources: {},
      batches: {},
      failures: {},
      warnings: [],
      log: [],
      latencySeconds: null,
      latencyLimitMs: null,
    },
  };
}
