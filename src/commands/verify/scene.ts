/** From options to open servers: the sources and masters that are to be compared, and what to know of them. */
import { createFirstPass } from '../../compare/many.js';
import { PreflightError, RefusedError, UsageError } from '../../errors.js';
import { type Control, openControl, withControl } from '../../redis/control.js';
import { addressOf, type Endpoint, parseNat, printable } from '../../redis/endpoint.js';
import { createLink } from '../../redis/pool.js';
import { openTopology } from '../../redis/topology.js';
import { nameOf, readServerFacts } from '../../redis/server.js';
import { renamedSource, selectedSource, selectsAll } from '../../sources/selection.js';
import { createSourceHealth, trialWords } from '../../redis/source-health.js';
import { scanSource } from '../../sources/scan.js';
import type { Source } from '../../types.js';
import { createServer, openCluster } from '../../verify/servers.js';
import type { VerifyParts } from '../../verify/look.js';
import { createScope } from '../../verify/scope.js';
import { type Origin, readOrigins } from '../../plan/origins.js';
import { insecurity, isDump, readSeed } from '../../plan/endpoints.js';
import { openFiles } from '../../plan/files.js';
import { checkPrefix, filledPrefix } from '../../plan/options-checks.js';
import { databaseIn } from '../../plan/source-facts.js';
import type { Sample, VerifyOptions } from '../../options/verb-options.js';
import { matchesGlob, trialNameLike } from '../../sources/glob.js';
import { namesAtNodes } from '../../plan/rights.js';

const pageKeys = 1000;

export interface VerifyScene {
  readonly parts: Omit<VerifyParts, 'findings'>;
  /** `host:port/db` of each source. */
  readonly names: readonly string[];
  readonly databases: readonly number[];
  /** The options by which an import copies these keys again, for each source. */
  readonly given: readonly { readonly from: string; readonly db?: string }[];
  /** `host:port` of the seed. */
  readonly seed: string;
  close(): void;
}

/** @throws UsageError when an option is wrong, another ImportError when a server is of no use. */
export async function openVerify(
  options: VerifyOptions,
  warn: (sentence: string) => void,
  signal: AbortSignal,
): Promise<VerifyScene> {
  const { timeoutMs, retryForMs, ttlToleranceMs: toleranceMs, fast } = options;
  const patience = { timeoutMs, retryForMs };
  const to = await readSeed(options.to, options);
  const risk = insecurity(to, 'to');
  if (risk !== undefined) warn(risk);
  checkPrefix(options.keyPrefix);
  checkRepair(options);
  const closing: { close(): void }[] = [];
  const kept = <T extends { close(): void }>(one: T): T => {
    closing.push(one);
    return one;
  };
  const close = (): void => {
    for (const one of closing) one.close();
  };

  const listing = (
    endpoint: Endpoint,
    name: string,
    estimatedKeys: number,
    globs: readonly string[],
  ) => {
    const link = kept(createLink(endpoint, { ...patience, mustBeWritable: false }));
    const health = createSourceHealth(link, {
      name,
      retryForMs,
      trial: trialWords('EXISTS'),
      trialName: () => trialNameLike(globs),
      logger: {
        warn(_, sentence) {
          warn(sentence);
        },
        info: () => undefined,
      },
    });
    health.heed(signal);
    const scan = scanSource(link, health, { name, estimatedKeys, pageKeys: () => pageKeys });
    return { link, health, scan };
  };

  try {
    let expires = false;
    const masters = [];
    const seed = kept(await openControl(to, { side: 'to', timeoutMs }));
    const nat = options.nat.map(parseNat);
    const topology = await openTopology(seed, { timeoutMs, nat });
    for (const node of topology.masters) {
      const endpoint = topology.endpointOf(node);
      const facts = await look({ endpoint, inCluster: false }, 'to');
      expires ||= facts.expires;
      masters.push({
        of: node,
        keys: listing(endpoint, node.address, facts.keys, namesAtNodes(options)).scan,
      });
    }
    const files = await openFiles(options, { timeoutMs, signal, tell: warn, warn }, () =>
      Promise.resolve(true),
    );
    kept({
      close() {
        files.stop();
      },
    });
    const origins = await readOrigins(options, warn, { servers: files.servers, dumps: 0 });
    const sources = [];
    for (const origin of origins) {
      const { endpoint, file } = origin;
      const name = file === undefined ? printable(endpoint) : databaseIn(file, endpoint.db);
      const facts = await look(origin, 'from');
      expires ||= facts.expires;
      const { link, health, scan } = listing(endpoint, name, facts.keys, options.match);
      const wanted = selectsAll(options) ? scan : selectedSource(scan, link, health, options);
      const prefix =
        options.keyPrefix === undefined
          ? undefined
          : filledPrefix(options.keyPrefix, endpoint.db, file ?? addressOf(endpoint));
      sources.push({
        of: kept(createServer(endpoint, name, patience)),
        keys: prefix ? renamedSource(wanted, prefix) : wanted,
        scope: createScope(options, prefix),
        firstPass: createFirstPass({ memoryUsage: facts.has.memory }),
      });
    }
    const share = shareOf(
      options.sample,
      [...sources, ...masters].map(({ keys }) => keys),
      sources.length,
    );
    const cluster = kept(openCluster(topology, patience));
    return {
      parts: { sources, masters, cluster, expires, toleranceMs, fast, share, patience },
      names: sources.map(({ of }) => of.name),
      databases: origins.map(({ endpoint }) => endpoint.db),
      given: origins.map(({ given, endpoint: { db } }) => ({
        from: given ?? '',
        ...(options.db.length > 0 && { db: String(db) }),
      })),
      seed: seed.address,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }

  async function look(
    { endpoint, inCluster }: Pick<Origin, 'endpoint' | 'inCluster'>,
    side: 'from' | 'to',
  ) {
    return withControl(endpoint, { side, timeoutMs }, async (control) => {
      const globs = side === 'to' ? namesAtNodes(options) : options.match;
      return readSide(control, endpoint.db, side === 'to' || inCluster, globs);
    });
  }
}

async function readSide(
  control: Control,
  db: number,
  mayBeNode: boolean,
  globs: readonly string[],
) {
  const facts = await readServerFacts(control);
  if (!mayBeNode && facts.clusterEnabled) {
    throw new PreflightError(
      `${control.address} is a node of a cluster: name it in --from-cluster, which compares all of its masters.`,
    );
  }
  if (!facts.has.scan) {
    throw new PreflightError(
      `${control.address} has no command SCAN (${nameOf(facts)}): it must be 2.8 or newer, and must not rename SCAN.`,
    );
  }
  await tryReading(control, globs);
  const database = (await control.info('keyspace')).get(`db${String(db)}`) ?? '';
  return {
    ...facts,
    keys: Number(await control.call('DBSIZE')),
    expires: Number(/expires=(\d+)/.exec(database)?.[1] ?? 0) > 0,
  };
}

/** Rights that are missing are found out now, not midway. @throws RefusedError naming the command. */
async function tryReading(control: Control, globs: readonly string[]): Promise<void> {
  await control.callBinary('SCAN', 0, 'COUNT', 1);
  const key = trialNameLike(globs);
  // Where no name can be tried, the user may be restricted to those that were given.
  if (globs.length > 0 && !globs.some((glob) => matchesGlob(Buffer.from(glob), Buffer.from(key)))) {
    return;
  }
  for (const word of ['TYPE', 'PTTL', 'EXISTS']) {
    try {
      await control.call(word, key);
    } catch (error) {
      // A node's key may lie there without being at home there.
      const isElsewhere = error instanceof RefusedError && !error.reply.startsWith('NOPERM');
      if (!isElsewhere) throw error;
    }
  }
}

/** What is copied again is copied by an import of just these keys, which needs a server that has them. */
function checkRepair({ repair, from, fromCluster }: VerifyOptions): void {
  const file = from.find(isDump);
  if (!repair || (file === undefined && fromCluster === undefined)) return;
  const what = file === undefined ? '--from-cluster' : `a file (--from ${file})`;
  throw new UsageError(
    `--repair can't copy from ${what}: leave it out, and import once more with --copy --replace.`,
  );
}

/** A number of keys is the same share on both sides; most keys are on both. */
function shareOf(sample: Sample | undefined, all: readonly Source[], sources: number): number {
  if (!sample) return 1;
  if ('share' in sample) return sample.share;
  const keys = all.slice(0, sources).reduce((sum, one) => sum + one.estimatedKeys, 0);
  return Math.min(1, sample.keys / Math.max(1, keys));
}
