/** Which versions of RDB payloads servers take, and of which version a dump is. */
import { open } from 'node:fs/promises';

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

/** @returns 0 where it does not stand at the file's head: it is packed, or no dump. */
export async function versionOfDump(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    const [, digits = '0'] = /^REDIS(\d{4})/.exec(buffer.toString('latin1', 0, bytesRead)) ?? [];
    return Number(digits);
  } finally {
    await file.close();
  }
}
