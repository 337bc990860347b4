/** Which versions of RDB payloads servers take, and of which version a dump is. */
import { headOfDump } from '../sources/dump/input.js';

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
const headerBytes = 9;

/** The newest that a server of this version takes. */
export function rdbVersionOf(versionNumber: number): number {
  return rdbVersions.find(([since]) => versionNumber >= since)?.[1] ?? oldestRdbVersion;
}

/** @returns 0 where it does not stand at the file's head, or that can be read only once (a pipe). */
export async function versionOfDump(path: string): Promise<number> {
  const [, digits = '0'] = /^REDIS(\d{4})/.exec(await headOfDump(path, headerBytes)) ?? [];
  return Number(digits);
}
