/** What of a dump is no key: function libraries, other databases, data of modules. */
import { messageOf, PreflightError, SourceError } from '../errors.js';
import type { JobOptions, PatienceOptions } from '../options.js';
import { openControl } from '../redis/control.js';
import type { MasterFacts } from '../preflight/master-facts.js';
import type { SourcePlan } from '../preflight/preflight.js';
import type { DumpFacts } from '../preflight/source-facts.js';
import { payloadVersionFor } from '../preflight/payloads.js';
import { checkNode, clashOf, type KnownLibraries } from './functions.js';

/** Which version all nodes take: a payload may say so, whatever wrote it. */
export function payloadVersionOf(masters: readonly MasterFacts[]): number {
  return payloadVersionFor(Math.min(...masters.map(({ rdbVersion }) => rdbVersion)));
}

const nameOf = (code: Buffer): string =>
  /name=(\S+)/.exec(code.toString('latin1').split('\n', 1)[0] ?? '')?.[1] ?? '?';

/**
 * Loads the libraries on every master, if that was asked for.
 * @throws SourceError when another dump, or a node, has a library of that name with other code.
 */
export async function loadLibraries(
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
          `${name} has ${keys.toLocaleString('en')} ${keys === 1 ? 'key' : 'keys'} in other databases (${numbers}), which were left out: pass --db all to import them too.`,
        ];
  return [...others, ...[...skipped].map((what) => `${name} has ${what}, which was left out.`)];
}
