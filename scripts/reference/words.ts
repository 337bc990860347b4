/** What the page of options and the manual page both say besides the table of verbs. */
import type { Verb } from '../../src/cli/verb.js';

/** How values are written. */
export const forms = [
  {
    title: 'Endpoints',
    text: 'are `host:port`, `[v6]:port`, `redis://[user[:password]@]host[:port][/db]`, or `rediss://…` for TLS. A source may also be `sentinel://[user:password@]name@host:port,host:port[/db]`, or `sentinels://…` where Sentinels and server speak TLS.',
  },
  {
    title: 'Times',
    text: 'are numbers of milliseconds, or have a unit: `500`, `500ms`, `10s`, `2m`, `1h`. Where seconds are the rule (`--timeout`, `--retry-for`, `--max-hold`, `--min-ttl`), a number below 100 needs its unit.',
  },
  { title: 'Sizes', text: 'are numbers of bytes, or have a unit: `4096`, `64kb`, `16mb`, `1gb`.' },
] as const;

interface Variable {
  readonly name: string;
  readonly help: string;
}

/** The variables that are read: secrets of the options, and those of the program itself. */
export function environment(verbs: readonly Verb[]): readonly Variable[] {
  const secrets = new Map<string, string>();
  for (const row of verbs.flatMap(({ rows }) => Object.values(rows))) {
    if (row.env !== undefined) secrets.set(row.env, row.help);
  }
  return [
    ...[...secrets].map(([name, help]) => ({ name, help })),
    { name: 'XDG_STATE_HOME', help: 'where journals are kept (default: ~/.local/state)' },
    { name: 'XDG_RUNTIME_DIR', help: 'where the sockets are by which `ctl` finds runs' },
    { name: 'CLUSTER_IMPORT_DEBUG', help: 'with 1, unexpected errors are shown with their stack' },
    { name: 'NO_COLOR', help: 'no colours' },
  ];
}

/** Every code that a process ends with. */
export const exitCodes = [
  ['0', 'Every key is in the cluster; with --follow, the cluster has taken over.'],
  ['1', 'The run finished; some keys are left, each accounted for.'],
  ['2', 'Wrong usage, or a check before the start failed: nothing was moved.'],
  ['3', 'The run had to stop midway: nothing is lost, and the report says how to go on.'],
  ['130, 143', 'Stopped by SIGINT or SIGTERM, after the batches in flight.'],
  ['129', 'Stopped by SIGHUP: the terminal was closed.'],
] as const;
