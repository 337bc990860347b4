/**
 * What a verb of the command line is: plain data and a function. A new verb is one new file here and
 * one line in `verbs.ts`; `cli.ts` keeps commander and exits; signals stay with `process.ts`.
 */
import { flagName, type Row, type Rows } from '../options/rows.js';
import { version } from '../installed.js';

export interface Verb {
  readonly name: string;
  readonly description: string;
  /** How it is called, behind its name: `--to <endpoint> [options]`. */
  readonly usage: string;
  /** Its flags. */
  readonly rows: Rows;
  /** How its help groups them: each row that has a flag stands in one group, by its name. */
  readonly groups: readonly Group[];
  /** Words of its own, ahead of the flags, as commander writes them: `<order>` must be there, `[value]` may. */
  readonly words?: readonly Word[];
  /** What stands at the end of its help. */
  readonly afterHelp: string;
  /**
   * Does it.
   * @param given the values of its rows, as typed; secrets from the environment.
   * @returns what to exit with.
   */
  run(given: Readonly<Record<string, unknown>>, shell: Shell): Promise<number>;
}

interface Group {
  readonly title: string;
  readonly names: readonly string[];
}

interface Word {
  readonly name: string;
  readonly help: string;
  /** What it may be. */
  readonly choices?: readonly string[];
}

/** What a verb has of the process that it runs in. */
export interface Shell {
  /** Its own words, as typed. */
  readonly words: readonly string[];
  readonly isDebugging: boolean;
  /**
   * From now on SIGINT, SIGTERM and SIGHUP ask for an orderly end; a second one ends the process at
   * once, unless it is SIGHUP.
   * @param say is called with the first one's name.
   */
  catchSignals(say: (signal: string) => void): Stop;
}

export interface Stop {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** What a process exits with that this signal stopped; undefined: none came. */
  readonly exitCode: number | undefined;
}

/* What `--json` prints where there is no report, because nothing was begun: programs read this, not sentences. */

/** @param words the sentence that people read on standard error. */
export function printRefusal(words: string, exitCode: number): void {
  const status = { 2: 'refused', 3: 'failed' }[exitCode] ?? 'interrupted';
  process.stdout.write(`${JSON.stringify({ status, error: words, exitCode, version })}\n`);
}

/* The flags of a verb as they are typed, whatever they are shown by: help, completion or a page. */

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
