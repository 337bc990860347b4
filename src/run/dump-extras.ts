/** What of a dump is no key: function libraries, other databases, data of modules. */
import { SourceError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import { openControl } from '../redis/control.js';
import type { MasterFacts } from '../preflight/master-facts.js';
import type { Ready } from '../preflight/preflight.js';

/** The RDB version of servers from a version on (rdb.h). */
const rdbVersions: readonly (readonly [since: number, rdb: number])[] = [
  [70400, 12],
  [70200, 11],
  [70000, 10],
  [50000, 9],
  [40000, 8],
  [30200, 7],
];
const oldestRdbVersion = 6;

/** Which version all nodes take: a payload may say so, whatever wrote it. */
export function payloadVersionOf(masters: readonly MasterFacts[]): number {
  const versions = masters.map(
    ({ versionNumber }) =>
      rdbVersions.find(([since]) => versionNumber >= since)?.[1] ?? oldestRdbVersion,
  );
  return Math.min(...versions);
}

/** Loads the libraries on every master, if that was asked for. */
export async function loadLibraries(
  codes: readonly Buffer[],
  { source, target }: Ready,
  options: ImportOptions,
  warn: (sentence: string) => void,
): Promise<void> {
  const names = codes.map((code) => /name=(\S+)/.exec(code.toString('latin1'))?.[1] ?? '?');
  const which = `function ${codes.length === 1 ? 'library' : 'libraries'} ${names.join(', ')}`;
  if (!options.functions || options.dryRun) {
    warn(
      `${source.name} has ${which}, which don't travel with the keys: say --functions to bring them along.`,
    );
    return;
  }
  for (const { node } of target.masters) {
    const endpoint = target.topology.endpointOf(node);
    const control = await openControl(endpoint, { side: 'to', timeoutMs: options.timeoutMs });
    try {
      const replace = options.replace === false ? [] : ['REPLACE'];
      for (const code of codes) await control.call('FUNCTION', 'LOAD', ...replace, code);
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw new SourceError(`The ${which} of ${source.name} could not be brought along: ${words}`, {
        cause: error,
      });
    } finally {
      control.close();
    }
  }
}

/** What to say of what was left out. */
export function leftOut(
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
          `${name} has ${keys.toLocaleString('en')} ${keys === 1 ? 'key' : 'keys'} in other databases (${numbers}), which were left out: say --db all to import them too.`,
        ];
  return [...others, ...[...skipped].map((what) => `${name} has ${what}, which was left out.`)];
}
