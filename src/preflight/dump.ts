/** A dump as a source of a run: what is found out about it before the start. */
import { stat } from 'node:fs/promises';
import { StoppedError, PreflightError, UsageError } from '../errors.js';
import type { EndpointOptions, ImportOptions } from '../options.js';
import { type DumpInput, headOfDump, openInput } from '../sources/dump/input.js';
import { soundnessOf } from '../sources/dump/soundness.js';
import { RdbError } from '../sources/rdb/rdb-errors.js';
import { headBytes, versionIn } from '../sources/rdb/file-version.js';
import { readDatabases } from './origins.js';
import { jobOfFile } from './dump-names.js';
import { lookThrough } from './look-through.js';
import type { Loading } from './scratch.js';
import type { DumpFacts } from './source-facts.js';

/**
 * @param path as it was given. @param file what is read.
 * @throws UsageError when it can't be opened, or the flags don't fit a file.
 */
export async function openDump(
  { path, file }: { readonly path: string; readonly file: string },
  options: Pick<ImportOptions, 'db' | 'damaged' | 'onlyKeys'>,
  { warn, signal }: Pick<Loading, 'warn' | 'signal'>,
): Promise<DumpFacts> {
  if (options.onlyKeys !== undefined) {
    throw new UsageError(
      `--only-keys needs a server, and --from ${path} is a file: leave it out, and pass --match for some of the keys.`,
    );
  }
  if (file !== '-') await checkHead(file, path);
  const input = await openInput(file);
  const databases = readDatabases(options.db) ?? [0];
  let isEmpty = false;
  try {
    await checkSoundness(input, path, options, { warn, signal });
    isEmpty = input.identity !== undefined && !(await holdsKeys(file, databases, signal));
    if (signal.aborted) throw new StoppedError(`Stopped while ${path} was checked.`);
  } catch (error) {
    await input.close();
    throw error;
  }
  const { identity, bytes } = input;
  return {
    name: path,
    job: identity === undefined ? undefined : jobOfFile(path, identity, String(databases)),
    kind: 'dump',
    db: 0,
    keys: 0,
    isFile: true,
    isEmpty,
    bytes,
    input,
    databases,
    warn,
  };
}

/**
 * That it is a dump, of a version that is known. A pipe can be read only once: there the run finds out.
 * @throws PreflightError
 */
async function checkHead(file: string, path: string): Promise<void> {
  if (!(await stat(file)).isFile()) return;
  try {
    versionIn(await headOfDump(file, headBytes), path);
  } catch (error) {
    if (!(error instanceof RdbError)) throw error;
    throw new PreflightError(`--from ${error.message}`, { cause: error });
  }
}

/** Whether a dump has any key in these databases. What can't be read does not count as empty. */
async function holdsKeys(
  file: string,
  databases: readonly number[] | 'all',
  signal: AbortSignal,
): Promise<boolean> {
  const found = await lookThrough(
    file,
    {
      entry: ({ db }) => databases === 'all' || databases.includes(db),
      other: () => true,
    },
    signal,
  );
  return found !== 'to the end';
}

/** @throws PreflightError when it is damaged, and nobody has said that it is to be imported all the same. */
async function checkSoundness(
  { file }: DumpInput,
  path: string,
  { damaged }: Pick<EndpointOptions, 'damaged'>,
  { warn, signal }: Pick<Loading, 'warn' | 'signal'>,
): Promise<void> {
  if (!file) return;
  const found = await soundnessOf(file, path, signal);
  if (signal.aborted) throw new StoppedError(`Stopped while ${path} was checked.`);
  if (found.kind === 'unsummed') {
    warn(`${path} has no checksum (rdbchecksum no): damage in it would not be noticed.`);
  }
  if (found.kind === 'cut off') {
    warn(
      `${path} is cut off: what is there is imported, though its checksum, which stood at the end, can't be compared.`,
    );
  }
  if (found.kind === 'unknown') throw new PreflightError(`--from ${found.finding}.`);
  if (found.kind !== 'damaged' && found.kind !== 'goes on') return;
  if (damaged) {
    warn(`${found.finding}. What stands before that is imported (--damaged), and may be wrong.`);
    return;
  }
  throw new PreflightError(
    `${found.finding}. Nothing was imported: take another copy of the file, or pass --damaged to import what stands before the damage, wrong values among it perhaps, which can even crash a node.`,
  );
}
