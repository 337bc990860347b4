/** What the nodes can make sense of: files of which version, and types of which modules. */
import type { Control } from '../redis/control.js';
import type { ServerFacts } from '../redis/server.js';
import type { ReportedFailure } from '../report.js';
import { headOfDump } from '../sources/dump/input.js';
import { type FileVersion, fileVersionOf, headerBytes } from '../sources/rdb/file-version.js';

/** Of Redis 2.6; all but the oldest servers take payloads of older ones. */
export const oldestPayloadVersion = 6;

/** What both products read: whatever it is told to be of, a file's value is understood if its type is known. */
const newestCommonVersion = 11;

/** Under which version values of files are sent that are of no type that only one product has. */
export function payloadVersionFor(rdbVersion: number): number {
  return Math.min(rdbVersion, newestCommonVersion);
}

/** Whether a server reads files of that version: Redis and Valkey count theirs apart. */
export function readsFile(
  { product, rdbVersion }: Pick<ServerFacts, 'product' | 'rdbVersion'>,
  file: FileVersion,
): boolean {
  if (file.number <= newestCommonVersion) return file.number <= rdbVersion;
  return file.product === product && file.number <= rdbVersion;
}

/** @returns undefined where it does not stand at the file's head, or that can be read only once (a pipe). */
export async function versionOfDump(path: string): Promise<FileVersion | undefined> {
  return fileVersionOf(await headOfDump(path, headerBytes));
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
  // Valkey's script engine, which has no types.
  return new Set(names.filter((name) => name !== 'lua'));
}

/** What to say when not all nodes have what the source has; undefined: nothing. */
export function lackingModules(
  source: ReadonlySet<string>,
  nodes: readonly { readonly address: string; readonly modules: ReadonlySet<string> }[],
): string | undefined {
  const lacking = [...source].filter((name) => nodes.some(({ modules }) => !modules.has(name)));
  if (lacking.length === 0) return undefined;
  const where = nodes.filter(({ modules }) => lacking.some((name) => !modules.has(name)));
  return `The source has ${lacking.length === 1 ? 'a module' : 'modules'} that ${where.map(({ address }) => address).join(', ')} ${where.length === 1 ? 'lacks' : 'lack'}: ${lacking.join(', ')}. Keys of ${lacking.length === 1 ? 'its' : 'their'} types, if there are any, can't be restored there, and stay at the source.`;
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
