/** The flags of a verb as they are typed, whatever they are shown by: help, completion or a page. */
import { flagName, type Row } from '../options/rows.js';
import type { Verb } from './verb.js';

export interface Flag {
  /** `--timeout` */
  readonly name: string;
  /** `<ms>`; undefined: it takes no value. */
  readonly value: string | undefined;
  readonly help: string;
  /** The words that it takes. */
  readonly choices: readonly string[];
  readonly repeatable: boolean;
}

/** Flags that stand together. */
export interface FlagGroup {
  readonly title: string;
  readonly flags: readonly Flag[];
}

/** A row's flag, and its opposite where it has one; none for what programs alone can give. */
export function flagsOf(row: Row<unknown>): readonly Flag[] {
  if (row.flag === undefined) return [];
  const name = flagName(row);
  const [, value] = row.flag.split(/ (.*)/s);
  const flag: Flag = {
    name,
    value,
    help: row.help,
    choices: row.choices ?? [],
    repeatable: row.repeatable === true,
  };
  if (row.negated === undefined) return [flag];
  return [flag, { ...flag, name: name.replace('--', '--no-'), help: row.negated }];
}

/** All of a verb's flags, in the order of its help. */
export function groupsOf({ rows, groups }: Verb): readonly FlagGroup[] {
  return groups.map(({ title, names }) => ({
    title,
    flags: names.flatMap((name) => {
      const row = rows[name];
      return row ? flagsOf(row) : [];
    }),
  }));
}
