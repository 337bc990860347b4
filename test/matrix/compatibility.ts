/** What the matrix has found, as docs/compatibility.md shows it: rows that are alike stand together. */
import { readFileSync, writeFileSync } from 'node:fs';
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

/** Writes the table into the page. */
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
  writeTable('matrix', ['source', 'cluster', 'mover', 'passwords, TLS', 'outcome'], lines);
}

/**
 * Puts a table between the marks of that name.
 * @param note what stands above it.
 */
export function writeTable(
  mark: string,
  head: readonly string[],
  lines: readonly (readonly string[])[],
  note = '',
): void {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => (line[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  const table = [line(head), rule, ...lines.map(line)].join('\n');
  const [begin, end] = [`<!-- ${mark}: begin -->\n\n`, `\n\n<!-- ${mark}: end -->`];
  const page = readFileSync(file, 'utf8');
  const from = page.indexOf(begin) + begin.length;
  const above = note === '' ? '' : `${note}\n\n`;
  writeFileSync(file, page.slice(0, from) + above + table + page.slice(page.indexOf(end)));
}

/** Without what differs from run to run. */
function outcomeOf({ outcome, by }: Cells): string {
  if (outcome === 'refused') return 'refused in a sentence';
  if (outcome !== 'equal') return outcome;
  const version = /payloads are passed on as version (\d+)/.exec(by)?.[1];
  return version === undefined ? 'equal' : `equal; payloads pass as version ${version}`;
}
