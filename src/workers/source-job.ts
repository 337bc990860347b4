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
import { byServer, isServer, type ServerSourceFacts } from '../plan/source-facts.js';
import { addressOf, type Endpoint, parseEndpoint } from '../redis/endpoint.js';
import { ownName } from '../redis/identity.js';
import type { ImportPlan } from '../run/source-runs.js';
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
  /** What its connections are called at servers, whoever has it; no blanks. */
  readonly work: string;
  /** How many keys its sources hold as it begins; 0 of a file, which keeps them. */
  readonly keys: number;
  /** 1 for the first. */
  readonly attempt: number;
  /** What attempts before this one have done, by source. */
  readonly before: Readonly<Record<string, SourceProgress>>;
}

/** What a job needs besides itself to log in: passwords, and the files of this machine that hold such. */
export type JobSecrets = Partial<AccessOptions>;

/** @param plan of the whole run. */
export function jobsOf(facts: Facts, { options, decision, ...plan }: SpreadPlan): SourceJob[] {
  const { startedEmpty, goesOn } = decision;
  return byServer(facts.sources, (source) => source).map((sources) => {
    const servers = sources.filter(isServer);
    const names = sources.map(({ name }) => name);
    const [first] = names as [string];
    const name = servers[0] ? addressOf(servers[0].endpoint) : first;
    return {
      name,
      work: `${ownName}:${digestOf(facts.target.name, name)}`,
      sources: names,
      keys: sources.reduce((sum, { keys }) => sum + keys, 0),
      origins: servers.map(originOf),
      options: optionsOf(options, servers.length > 0 ? [] : names),
      decision: { startedEmpty, goesOn },
      startAts: Object.fromEntries(
        Object.entries(plan.startAts).filter(([name]) => names.includes(name)),
      ),
      attempt: 1,
      before: {},
    };
  });
}

/** The secrets of each job, by its name. */
export function secretsOf({ sources, target }: Facts): ReadonlyMap<string, JobSecrets> {
  const [master] = target.masters;
  const toPassword = master && target.topology.endpointOf(master.node).password;
  return new Map(
    sources.map((source): [string, JobSecrets] => {
      if (!isServer(source)) {
        return [source.name, { toPassword }];
      }
      const { endpoint } = source;
      const secrets = {
        fromPassword: endpoint.password,
        sentinelPassword: endpoint.sentinels?.endpoints[0]?.password,
        toPassword,
      };
      return [addressOf(endpoint), secrets];
    }),
  );
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
