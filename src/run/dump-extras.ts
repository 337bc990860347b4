/** What of a dump is no key: function libraries, other databases, data of modules. */
import { PreflightError, SourceError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import { openControl } from '../redis/control.js';
import type { MasterFacts } from '../preflight/master-facts.js';
import type { Ready } from '../preflight/preflight.js';
import { rdbVersionOf } from '../preflight/rdb-versions.js';
import { checkNode } from './functions.js';

/** Which version all nodes take: a payload may say so, whatever wrote it. */
export function payloadVersionOf(masters: readonly MasterFacts[]): number {
  return Math.min(...masters.map(({ versionNumber }) => rdbVersionOf(versionNumber)));
}

/** The libraries that the dumps of a run have brought so far, by name: their code, and of which dump. */
export type BroughtLibraries = Map<string, { readonly code: string; readonly from: string }>;

const nameOf = (code: Buffer): string =>
  /name=(\S+)/.exec(code.toString('latin1').split('\n', 1)[0] ?? '')?.[1] ?? '?';

/**
 * Loads the libraries on every master, if that was asked for.
 * @throws SourceError when another dump, or a node, has a library of that name with other code.
 */
export async function loadLibraries(
  codes: readonly Buffer[],
  { source, target }: Ready,
  options: ImportOptions,
  brought: BroughtLibraries,
  warn: (sentence: string) => void,
): Promise<void> {
  const names = codes.map(nameOf);
  const which = `function ${codes.length === 1 ? 'library' : 'libraries'} ${names.join(', ')}`;
  if (!options.functions || options.dryRun) {
    warn(
      `${source.name} has ${which}, which don't travel with the keys: say --functions to bring them along.`,
    );
    return;
  }
  for (const code of codes) {
    const name = nameOf(code);
    const other = brought.get(name);
    if (other && other.code !== code.toString('latin1')) {
      throw new SourceError(
        `${other.from} and ${source.name} have function library ${name} with different code, and a cluster can have one of them only: leave --functions out, and load the right one yourself.`,
      );
    }
    brought.set(name, { code: code.toString('latin1'), from: source.name });
  }
  for (const { node } of target.masters) {
    const endpoint = target.topology.endpointOf(node);
    const control = await openControl(endpoint, { side: 'to', timeoutMs: options.timeoutMs });
    try {
      const libraries = new Map(codes.map((code) => [nameOf(code), code.toString('utf8')]));
      await checkNode(control, libraries, options);
      for (const code of codes) await control.call('FUNCTION', 'LOAD', 'REPLACE', code);
    } catch (error) {
      if (error instanceof PreflightError) throw new SourceError(error.message, { cause: error });
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
