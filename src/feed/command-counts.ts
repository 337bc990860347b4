/**
 * How often a source has carried out commands that change keys without a word to those who listen: servers
 * count every command, those of scripts and transactions too (INFO commandstats; `call` in Redis' server.c).
 */

/** By command, in lower case: of all of its subcommands together. */
export type CommandCounts = ReadonlyMap<string, number>;

/** From what INFO commandstats says: `cmdstat_xgroup|create:calls=2,usec=…`. */
export function readCounts(info: string): CommandCounts {
  const counts = new Map<string, number>();
  for (const [, name = '', calls] of info.matchAll(/^cmdstat_([^:|]+)[^:]*:calls=(\d+)/gm)) {
    counts.set(name, (counts.get(name) ?? 0) + Number(calls));
  }
  return counts;
}

/**
 * Which of these commands were carried out between two counts; all, where the counting has begun anew
 * (CONFIG RESETSTAT).
 */
export function carriedOut(
  commands: readonly string[],
  before: CommandCounts,
  after: CommandCounts,
): readonly string[] {
  const isAnew = [...before].some(([name, count]) => (after.get(name) ?? 0) < count);
  if (isAnew) return commands;
  return commands.filter((name) => (after.get(name) ?? 0) > (before.get(name) ?? 0));
}
