/** The files among the sources: dumps are read as they are, append-only files by a server. */
import { stat } from 'node:fs/promises';
import { UsageError } from '../errors.js';
import type { EndpointOptions } from '../options/options.js';
import { appendOnlyAt, dumpAt } from './append-only.js';
import { type NamedServer, readDatabases } from './origins.js';
import { dumpsIn, jobOfFile } from './endpoints.js';
import { type Loading, type Scratch, startScratch } from './scratch.js';

export interface OpenedFiles {
  /** What is read as it is: as it was given, and the file to read. */
  readonly read: readonly { readonly path: string; readonly file: string }[];
  readonly servers: readonly NamedServer[];
  /** Ends the servers. */
  /** Waits until it has been told which of the servers are gone, if any are. */
  settled(): Promise<void>;
  stop(): void;
}

/** The flags that say which files, and how they are read. */
export type FileOptions = Pick<EndpointOptions, 'from' | 'redisServer' | 'db'>;

/**
 * @param isLoaded whether a dump is loaded by a server too, rather than read as it is.
 * @throws UsageError or PreflightError when a file can't be used; no server is left then.
 */
export async function openFiles(
  options: FileOptions,
  loading: Loading,
  isLoaded: (dump: string) => Promise<boolean> = () => Promise.resolve(false),
): Promise<OpenedFiles> {
  const { warn } = loading;
  const read: { path: string; file: string }[] = [];
  const servers: NamedServer[] = [];
  const started: Scratch[] = [];
  const stop = (): void => {
    for (const scratch of started) void scratch.stop();
  };
  await checkDistinct(dumpsIn(options));
  try {
    for (const path of dumpsIn(options)) {
      const appendOnly = path === '-' ? undefined : await appendOnlyAt(path);
      const dump = appendOnly ? appendOnly.dump : path;
      if (dump !== undefined && !(await isLoaded(dump))) {
        read.push({ path, file: dump });
        continue;
      }
      if (path === '-') {
        throw new UsageError(
          'What comes on standard input can be read only once, and has to be looked up: save it in a file, and give that in --from.',
        );
      }
      const file = appendOnly ?? (await dumpAt(path));
      if (file.bytes === 0) warn(`${path} is empty: there is nothing in it to import.`);
      // One after the other: each takes the memory that the next one's check has to see.
      const scratch = await startScratch(file, options.redisServer, loading);
      started.push(scratch);
      if (scratch.warning !== undefined) warn(scratch.warning);
      const job = jobOfFile(path, file.identity, String(readDatabases(options.db) ?? 0));
      servers.push({ endpoint: scratch.endpoint, inCluster: false, file: path, job });
    }
    const settled = async (): Promise<void> => {
      await Promise.all(started.map((scratch) => scratch.settled()));
    };
    return { read, servers, settled, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

/** A file may have several names. */
async function checkDistinct(paths: readonly string[]): Promise<void> {
  const known = new Map<string, string>();
  for (const path of paths) {
    const { dev, ino } = path === '-' ? { dev: 0, ino: 0 } : await stat(path);
    const file = [dev, ino].join('.');
    const other = known.get(file);
    if (other !== undefined) {
      throw new UsageError(
        other === path
          ? `--from ${path} is given twice: name each file once.`
          : `--from ${other} and --from ${path} are the same file: name it once.`,
      );
    }
    known.set(file, path);
  }
}
