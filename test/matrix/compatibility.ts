/** What the matrix has found, as docs/compatibility.md shows it: rows that are alike stand together. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Cells {
  readonly source: string;
  readonly target: string;
  readonly mover: string;
  /** How both sides were locked. */
  readonly way: string;
  readonly outcome: string;
  /** Which mover it was, and why. */
  readonly by: string;
}

const file = fileURLToPath(new URL('../../docs/compatibility.md', import.meta.url));

const opening = `# Compatibility

Written by \`npm run test:matrix\`, which moves one key of every type and encoding, and thousands of strings, from each of
these servers to clusters of each, and compares what arrived: values, deadlines, groups and what is pending.

Redis and Valkey refuse each other's payloads (DUMP) for their version alone. Where the nodes know the type of a
payload, the relay passes it on under a version that they take; all else travels element by element. So between
them the relay carries everything, and MIGRATE nothing: \`--mover migrate\` says so before the start.

`;

const moreAbout = `
What only one of two servers has stays at the source, and is named: fields with deadlines (Redis since 7.4, Valkey
since 9.0) towards servers that know none, vector sets and other types of modules.

## Files

| file                                     | what is read                                                                   |
| ---------------------------------------- | ------------------------------------------------------------------------------ |
| dumps of Redis, RDB 1 to 12 (7.4 to 8.4) | everything                                                                     |
| dumps of Redis, RDB 13 and later (8.6)   | as far as it is known: a type that is not is named before anything is imported |
| dumps of Valkey 9.0 and 9.1 (RDB 80)     | everything                                                                     |
| dumps of Valkey 9.2 and later            | as far as it is known, in the same way                                         |
| dumps of Redis Enterprise                | everything; notes of how lately a key was used, and of slots, are left out     |

Values of types that nodes don't know (fields with deadlines of the other product) need a server that has written such
files: \`--redis-server\` takes a redis-server or a valkey-server.
`;

/** Writes the page. */
export function writeCompatibility(rows: readonly Cells[]): void {
  const groups = new Map<string, { readonly first: Cells; readonly ways: Set<string> }>();
  for (const row of rows) {
    const told = outcomeOf(row);
    const id = [row.source, row.target, row.mover, told].join('|');
    const group = groups.get(id) ?? { first: { ...row, outcome: told }, ways: new Set<string>() };
    group.ways.add(row.way);
    groups.set(id, group);
  }
  const lines = [...groups.values()].map(({ first, ways }) =>
    [first.source, first.target, first.mover, [...ways].join('; '), first.outcome].map((cell) =>
      cell.replaceAll('|', '\\|'),
    ),
  );
  const head = ['source', 'cluster', 'mover', 'passwords, TLS', 'outcome'];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => (line[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  const table = [line(head), rule, ...lines.map(line)].join('\n');
  writeFileSync(file, `${opening}${table}\n${moreAbout}`);
}

/** Without what differs from run to run. */
function outcomeOf({ outcome, by }: Cells): string {
  if (outcome === 'refused') return 'refused in a sentence';
  if (outcome !== 'equal') return outcome;
  const version = /payloads are passed on as version (\d+)/.exec(by)?.[1];
  return version === undefined ? 'equal' : `equal; payloads pass as version ${version}`;
}
