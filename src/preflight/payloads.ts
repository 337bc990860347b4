/** What the nodes can make sense of: files of which version, and types of which modules. */
import type { Control } from '../redis/control.js';
import type { ReportedFailure } from '../report.js';
import { headOfDump } from '../sources/dump/input.js';
import { fileVersionOf, headerBytes } from '../sources/rdb/file-version.js';

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

/** The newest that a server of this version takes. */
export function rdbVersionOf(versionNumber: number): number {
  return rdbVersions.find(([since]) => versionNumber >= since)?.[1] ?? oldestRdbVersion;
}

/** @returns 0 where it does not stand at the file's head, or that can be read only once (a pipe). */
export async function versionOfDump(path: string): Promise<number> {
  return fileVersionOf(await headOfDump(path, headerBytes))?.number ?? 0;
}

/**
 * The modules of a server; none where it may not be asked. A node without a module can't restore values
 * of its types: which modules are lacking is said before the start, and keys that stay are reported
 * with their type.
 */
export async function modulesOf(control: Control): Promise<ReadonlySet<string>> {
  const rows = await control.call('MODULE', 'LIST').catch(() => undefined);
  const names = (Array.isArray(rows) ? rows : []).flatMap((row) =>
    Array.isArray(row) ? [String(row[row.indexOf('name') + 1])] : [],
  );
  return new Set(names);
}

/** What to say when not all nodes have what the source has; undefined: nothing. */
export function lackingModules(
  source: ReadonlySet<string>,
  nodes: readonly { readonly address: string; readonly modules: ReadonlySet<string> }[],
): string | undefined {
  const lacking = [...source].filter((name) => nodes.some(({ modules }) => !modules.has(name)));
  if (lacking.length === 0) return undefined;
  const where = nodes.filter(({ modules }) => lacking.some((name) => !modules.has(name)));
  return `The source has ${lacking.length === 1 ? 'a module' : 'modules'} that ${where.map(({ address }) => address).join(', ')} ${where.length === 1 ? 'lacks' : 'lack'}: ${lacking.join(', ')}. Keys of ${lacking.length === 1 ? 'its' : 'their'} types can't be restored there, and stay at the source.`;
}

/** The failures, with the type of each value that a node could make no sense of. */
export async function nameTypes(
  failures: readonly ReportedFailure[],
  source: Control,
): Promise<readonly ReportedFailure[]> {
  return Promise.all(
    failures.map(async (failure) => {
      if (!failure.message.includes('Bad data format')) return failure;
      const key = Buffer.from(failure.key, failure.keyEncoding);
      const type = await source.call('TYPE', key).catch(() => 'none');
      if (type === 'none') return failure;
      const message = `its type is ${String(type)}, which the node does not know: ${failure.message}`;
      return { ...failure, message };
    }),
  );
}
