/** A dump as a source of a run: what is found out about it before the start. */
import { UsageError, RefusedError } from '../errors.js';
import type { ImportOptions } from '../options.js';
import type { Control } from '../redis/control.js';
import { noFeatures } from '../redis/server.js';
import { openInput } from '../sources/dump/input.js';
import { readDatabases } from './databases.js';
import type { SourceFacts } from './source-facts.js';

/**
 * @param path as it was given. @param file what is read.
 * @throws UsageError when it can't be opened, or the flags don't fit a file.
 */
export async function openDump(
  { path, file }: { readonly path: string; readonly file: string },
  options: ImportOptions,
  warn: (sentence: string) => void,
): Promise<Omit<SourceFacts, 'payloadRefusal'>> {
  if (options.onlyKeys !== undefined) {
    throw new UsageError(
      `--only-keys needs a server, and --from ${path} is a file: leave it out, and say --match for some of the keys.`,
    );
  }
  const input = await openInput(file);
  return {
    name: path,
    job: path,
    dump: { input, databases: readDatabases(options.db) ?? [0], warn },
    isFile: true,
    endpoint: { host: path, port: 0, tls: false, db: 0 },
    control: noControl(path, () => void input.close()),
    ...{ inCluster: false, filled: [], keys: 0, expiringKeys: 0, migratesOverTls: false },
    ...{ version: '', versionNumber: 0, mode: 'standalone', role: 'master', clusterEnabled: false },
    ...{ runId: '', readOnly: true, replicasInSync: 0, has: noFeatures, clockSkewMs: 0 },
  };
}

/** Who asks a file gets no answer. */
function noControl(path: string, close: () => void): Control {
  const refuse = (): Promise<never> =>
    Promise.reject(new RefusedError(`${path} is a file, and answers nothing.`, 'ERR no server'));
  return {
    endpoint: { host: path, port: 0, tls: false, db: 0 },
    address: path,
    call: refuse,
    callBinary: refuse,
    info: refuse,
    close,
  };
}
