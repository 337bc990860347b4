/** Puts the import of one dump together: the file, the mover of values that come along, the pipeline. */
import { Pipeline } from '../engine/pipeline.js';
import type { ListingRecord } from '../engine/seen-keys.js';
import { createTally } from '../engine/tally.js';
import { createSideChannel } from '../movers/side-channel.js';
import { type Census, countBrought } from '../movers/counting.js';
import { copyWhenListed, type JobPolicy } from '../movers/policy.js';
import { restore } from '../movers/restore/restore.js';
import type { SelectionOptions, JobOptions, PatienceOptions } from '../options/options.js';
import { SourceError, messageOf, PreflightError } from '../errors.js';
import { dumpSource, largeKeeper } from '../sources/dump/source.js';
import { nameFilter } from '../sources/glob.js';
import type { Selection } from '../sources/selection.js';
import { type Entry, typeNameOf } from '../sources/rdb/value-types.js';
import { type KnownLibraries, checkNode, clashOf } from './functions.js';
import { createCheckpoints, noting, type SourceRun, type SourceRunParts } from './source-run.js';
import { connectionLog, nodeConnections } from './connections.js';
import { createDistance, createLimits } from '../limits/limits.js';
import { factsOf, jobPolicy, wordsByNode } from './movers.js';
import { filledPrefix } from '../plan/options-checks.js';
import type { SourcePlan } from '../plan/preflight.js';
import type { DumpFacts } from '../plan/source-facts.js';
import { openControl } from '../redis/control.js';
import type { MasterFacts } from '../plan/master-facts.js';
import { payloadVersionFor } from '../plan/payloads.js';

const batchBytes = 256 * 1024;

/** Nothing was listed before: names are unique in a database. */
const nothingListed: ListingRecord = {
  noted: () => false,
  has: () => false,
  fetch: () => undefined,
  notedAt: () => false,
  bytes: new Uint8Array(0),
  recall: () => undefined,
};

export interface DumpRunParts extends SourceRunParts {
  /** The run has other sources. */
  readonly several: boolean;
  /** The function libraries of all dumps. */
  readonly libraries: KnownLibraries;
}

export function createDumpRun(plan: SourcePlan<DumpFacts>, parts: DumpRunParts): SourceRun {
  const { options, logger, states, throttle, eviction, record, names } = parts;
  const { libraries, several, startAt } = parts;
  const { topology, masters } = plan.target;
  const { timeoutMs, retryForMs } = options;
  const { input, databases, warn, name } = plan.source;
  const distance = createDistance();
  const limits = createLimits(distance, throttle);
  const connections = connectionLog(logger, states);

  const toNodes = nodeConnections(topology, connections, distance, timeoutMs);
  const connectNode = eviction.cutting(toNodes, connections);

  const large = largeKeeper(input.file);
  const others = new Map<number, number>();
  const source = dumpSource(input, {
    ...{ name, large, startAt },
    payloadVersion: payloadVersionOf(masters),
    wants: wantedBy(options, databases, others),
    prefixFor: prefixes(options, name),
    onLibraries: (codes) => loadLibraries(codes, plan, options, libraries, warn),
  });
  const checkpoints = createCheckpoints(
    () => source.position,
    () => tally.snapshot(),
    startAt,
  );
  const tally = createTally(source, 'copy', { states });
  const noSource = () => Promise.reject(new SourceError('a file has no connections'));
  const aside = createSideChannel(noSource, connectNode);
  const census: Census = { types: new Map(), present: 0, shared: 0 };
  const job: JobPolicy = { ...jobPolicy(plan, options), mode: 'copy' };
  const restoring = restore({
    ...{ large, connectNode, job, verify: options.verify },
    commandsFor: wordsByNode(plan),
    takesHints: (node) => factsOf(plan, node)?.has.restoreAbsttl ?? false,
  });
  const counting = countBrought({
    ...{ ...aside, census, large, hasKeys: masters.some(({ keys }) => keys > 0) },
    isNoted: noting(names),
    typeName: typeNameOf,
  });
  const mover = {
    ...(options.dryRun ? counting : restoring),
    reason: options.dryRun
      ? 'nothing is moved (--dry-run)'
      : `${name} is a file: its values are stored as they stand there`,
  };
  const isUnique = !several && databases !== 'all' && databases.length === 1;

  return {
    source: plan.source,
    tally,
    mover,
    census,
    get settled() {
      return checkpoints.last;
    },
    async run(signal) {
      const stop = (): void => {
        source.stop();
      };
      signal.addEventListener('abort', stop);
      if (signal.aborted) stop();
      await new Pipeline({
        ...{
          source,
          topology,
          mover,
          tally,
          states,
          limits,
          signal,
          logger,
          batchBytes,
          retryForMs,
        },
        record: isUnique ? nothingListed : record,
        copyWhenListed: (listing) => copyWhenListed(job, listing),
        checkpoint: checkpoints,
      }).run();
      for (const sentence of leftOut(name, others, source.skipped)) {
        warn(sentence);
      }
      if (source.isUnsummed && !input.file) {
        warn(`${name} has no checksum: damage in it would not be noticed.`);
      }
      if (source.damage) throw source.damage;
    },
    close() {
      connections.close();
      source.stop();
      void large.close();
      toNodes.close();
    },
  };
}

/** @param others counts keys of databases that are not wanted. */
function wantedBy(
  { match, exclude, type, minTtlMs }: Selection,
  databases: DumpFacts['databases'],
  others: Map<number, number>,
): (entry: Entry) => boolean {
  const isNameWanted = nameFilter({ match, exclude });
  const types = new Set(type);
  return (entry) => {
    const { db, deadlineMs } = entry;
    if (databases !== 'all' && !databases.includes(db)) {
      others.set(db, (others.get(db) ?? 0) + 1);
      return false;
    }
    if (minTtlMs > 0 && deadlineMs >= 0 && deadlineMs - Date.now() < minTtlMs) return false;
    if (types.size > 0 && !types.has(entry.valueType.name)) return false;
    // Without globs no key has to be cut out for them.
    if (match.length + exclude.length === 0) return true;
    return isNameWanted(entry.key.subarray(entry.keyFrom, entry.keyEnd));
  };
}

/** The prefix with its placeholders filled in, by database. */
function prefixes(
  { keyPrefix }: Pick<SelectionOptions, 'keyPrefix'>,
  name: string,
): (db: number) => Buffer | undefined {
  if (keyPrefix === undefined) return () => undefined;
  const known = new Map<number, Buffer>();
  return (db) => {
    let prefix = known.get(db);
    if (!prefix) {
      prefix = filledPrefix(keyPrefix, db, name);
      known.set(db, prefix);
    }
    return prefix;
  };
}

/* What of a dump is no key: function libraries, other databases, data of modules. */

/** Which version all nodes take: a payload may say so, whatever wrote it. */
function payloadVersionOf(masters: readonly MasterFacts[]): number {
  return payloadVersionFor(Math.min(...masters.map(({ rdbVersion }) => rdbVersion)));
}

const nameOf = (code: Buffer): string =>
  /name=(\S+)/.exec(code.toString('latin1').split('\n', 1)[0] ?? '')?.[1] ?? '?';

/**
 * Loads the libraries on every master, if that was asked for.
 * @throws SourceError when another dump, or a node, has a library of that name with other code.
 */
async function loadLibraries(
  codes: readonly Buffer[],
  { source, target }: SourcePlan<DumpFacts>,
  options: JobOptions & PatienceOptions,
  brought: KnownLibraries,
  warn: (sentence: string) => void,
): Promise<void> {
  const named = (encoding: 'latin1' | 'utf8') =>
    new Map(codes.map((code) => [nameOf(code), code.toString(encoding)]));
  const which = `function ${codes.length === 1 ? 'library' : 'libraries'} ${codes.map(nameOf).join(', ')}`;
  if (!options.functions || options.dryRun) {
    warn(
      `${source.name} has ${which}, which don't travel with the keys: pass --functions to bring them along.`,
    );
    return;
  }
  // Byte by byte, which only this encoding keeps apart.
  const clash = clashOf(brought, named('latin1'), source.name);
  if (clash !== undefined) throw new SourceError(clash);
  const libraries = named('utf8');
  for (const { node } of target.masters) {
    const endpoint = target.topology.endpointOf(node);
    const control = await openControl(endpoint, { side: 'to', timeoutMs: options.timeoutMs });
    try {
      await checkNode(control, libraries, options);
      for (const code of codes) await control.call('FUNCTION', 'LOAD', 'REPLACE', code);
    } catch (error) {
      if (error instanceof PreflightError) throw new SourceError(error.message, { cause: error });
      const words = messageOf(error);
      throw new SourceError(`The ${which} of ${source.name} could not be brought along: ${words}`, {
        cause: error,
      });
    } finally {
      control.close();
    }
  }
}

/** What to say of what was left out. */
function leftOut(
  name: string,
  databases: ReadonlyMap<number, number>,
  skipped: ReadonlySet<string>,
): readonly string[] {
  const keys = [...databases.values()].reduce((sum, count) => sum + count, 0);
  const numbers = [...databases.keys()].sort((one, other) => one - other).join(',');
  const others =
    keys === 0
      ? []
      : [
          `${name} has ${keys.toLocaleString('en')} ${keys === 1 ? 'key' : 'keys'} in other databases (${numbers}), which were left out: pass --db all to import them too.`,
        ];
  return [...others, ...[...skipped].map((what) => `${name} has ${what}, which was left out.`)];
}
