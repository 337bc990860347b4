/**
 * Function libraries (7.0): they are no keys, so nothing else brings them along, and clients that
 * call them miss them at once. Every master gets all of them, before the keys move.
 *
 * Scripts that clients have loaded stay behind: no command lists them. Clients load them again when
 * they hear NOSCRIPT.
 */
import { messageOf, PreflightError } from '../errors.js';
import { type Control, type ControlReply, openControl } from '../redis/control.js';
import type { JobOptions, PatienceOptions } from '../options/options.js';
import { addressOf } from '../redis/endpoint.js';
import type { Facts, TargetFacts } from '../plan/preflight.js';
import { isServer, type ServerSourceFacts } from '../plan/source-facts.js';

/** What came of `--functions`, for the report. */
export interface Functions {
  readonly libraries: readonly string[];
  /** How many nodes have them now. */
  readonly masters: number;
}

/** The code of each library by its name. */
type Libraries = ReadonlyMap<string, string>;

/** The libraries that the sources of a run have, by name: their code, and whose it is. */
export type KnownLibraries = Map<string, { readonly code: string; readonly of: string }>;

/**
 * Restores the sources' libraries on every master.
 * @returns undefined when it was not asked for.
 * @throws PreflightError when a node can't take them, or has others of their names; nothing of that
 *   source's was changed then.
 */
export async function bringFunctions(
  { sources, target }: Facts,
  options: JobOptions & PatienceOptions,
  warn: (sentence: string) => void,
): Promise<Functions | undefined> {
  const libraries = new Set<string>();
  let masters = 0;
  // All databases of a server have the same.
  const servers = new Map(
    sources.filter(isServer).map((source) => [addressOf(source.endpoint), source]),
  );
  const known: KnownLibraries = new Map();
  for (const { control, name } of options.functions ? servers.values() : []) {
    const libraries = await librariesOf(control).catch(() => undefined);
    const clash = libraries && clashOf(known, libraries, name);
    if (clash !== undefined) throw new PreflightError(clash);
  }
  for (const source of servers.values()) {
    const brought = await bringFrom(source, target, options, warn);
    for (const name of brought?.libraries ?? []) libraries.add(name);
    masters = Math.max(masters, brought?.masters ?? 0);
  }
  return options.functions ? { libraries: [...libraries], masters } : undefined;
}

/**
 * Adds a source's libraries to those that are known.
 * @returns what to say when another source has one of that name with different code.
 */
export function clashOf(
  known: KnownLibraries,
  libraries: Libraries,
  of: string,
): string | undefined {
  for (const [name, code] of libraries) {
    const other = known.get(name);
    if (other && other.code !== code) {
      return `${other.of} and ${of} have function library ${name} with different code, and a cluster can have one of them only: leave --functions out, and load the right one yourself.`;
    }
    known.set(name, { code, of });
  }
  return undefined;
}

async function bringFrom(
  source: ServerSourceFacts,
  target: TargetFacts,
  options: JobOptions & PatienceOptions,
  warn: (sentence: string) => void,
): Promise<Functions | undefined> {
  const libraries = await librariesOf(source.control).catch(() => undefined);
  if (!options.functions) {
    if (libraries && libraries.size > 0) {
      warn(
        `${source.name} has function ${libraries.size === 1 ? 'library' : 'libraries'} ${names(libraries)}, which don't travel with the keys: pass --functions to bring them along.`,
      );
    }
    return undefined;
  }
  if (!libraries || libraries.size === 0) return { libraries: [], masters: 0 };
  const dump = await source.control.callBinary('FUNCTION', 'DUMP');
  if (!Buffer.isBuffer(dump)) return { libraries: [], masters: 0 };

  const nodes: Control[] = [];
  try {
    for (const { node } of target.masters) {
      const endpoint = target.topology.endpointOf(node);
      nodes.push(await openControl(endpoint, { side: 'to', timeoutMs: options.timeoutMs }));
    }
    // All are looked at before any is changed.
    for (const node of nodes) await checkNode(node, libraries, options);
    await Promise.all(nodes.map((node) => node.call('FUNCTION', 'RESTORE', dump, 'REPLACE')));
    return { libraries: [...libraries.keys()], masters: nodes.length };
  } catch (error) {
    if (error instanceof PreflightError) throw error;
    const words = messageOf(error);
    throw new PreflightError(`The functions could not be brought along. ${words}`, {
      cause: error,
    });
  } finally {
    for (const node of nodes) node.close();
  }
}

/** @throws PreflightError when the node can't take these libraries, or has others of their names. */
export async function checkNode(
  node: Control,
  wanted: Libraries,
  options: Pick<JobOptions, 'replace'>,
): Promise<void> {
  const there = await librariesOf(node).catch(() => undefined);
  if (!there) {
    throw new PreflightError(
      `${node.address} takes no functions (they came with Redis 7.0, and need the right to run FUNCTION): leave --functions out.`,
    );
  }
  const others = [...wanted].filter(([name, code]) => there.has(name) && there.get(name) !== code);
  if (others.length === 0 || options.replace === true) return;
  throw new PreflightError(
    `${node.address} has function library ${names(new Map(others))} with other code: pass --replace to let the source's win, or leave --functions out.`,
  );
}

function names(libraries: Libraries): string {
  return [...libraries.keys()].join(', ');
}

async function librariesOf(control: Control): Promise<Libraries> {
  const rows = await control.call('FUNCTION', 'LIST', 'WITHCODE');
  const libraries = (Array.isArray(rows) ? rows : []).map((row): [string, string] => [
    fieldOf(row, 'library_name'),
    fieldOf(row, 'library_code'),
  ]);
  return new Map(libraries);
}

function fieldOf(row: ControlReply, name: string): string {
  if (!Array.isArray(row)) return '';
  return String(row[row.indexOf(name) + 1]);
}
