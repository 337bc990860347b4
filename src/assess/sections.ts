/** An assessment in sections of rows, which its text and its page both show. */
import colours from 'picocolors';
import type { Colors } from 'picocolors/types.js';
import { formatBytes, formatCount, formatDuration, quoteKey, wrap } from '../format.js';
import { nameOf } from '../redis/server.js';
import { clientWords } from './monitor.js';
import { percent } from './findings.js';
import { isTrouble } from './refusals.js';
import type { AssessReport, Estimate, Plan, WatchReport } from './assess-report.js';

export interface Section {
  readonly title: string;
  /** What stands in each column; none where the first cell says what the others are. */
  readonly heads?: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Cells from this one on are long: in text they stand below the others. */
  readonly below?: number;
  /** Stands behind the rows. */
  readonly more?: string;
}

const verdicts = {
  'can-move': 'Can move',
  'cannot-move': "Can't move as it is",
  undecided: 'Undecided: what was seen is not enough',
};

const cases = {
  1: 'case 1: no command has several keys',
  2: 'case 2: commands have several keys, always of one slot',
  3: 'case 3: commands use keys of several slots, which must change first',
};

function headline(report: AssessReport): string {
  return `${verdicts[report.status]}: ${subject(report)}`;
}

/** What the verdict is about. */
export function subject({ case: found, from, to }: AssessReport): string {
  const into = to === undefined ? '' : ` into the cluster of ${to}`;
  return `${from}${into}${found === undefined ? '' : `, ${cases[found]}`}`;
}

export function sectionsOf(report: AssessReport): readonly Section[] {
  const { findings, watch, commandStats, nodes = [], plan } = report;
  const sections: Section[] = [
    {
      title: 'Findings',
      rows: findings.map((one) => [
        one.blocking ? 'blocking' : one.open ? 'not known' : 'note',
        one.message,
      ]),
    },
    ...(watch ? watchSections(watch) : []),
    {
      title: 'Commands since the start of the server',
      ...withoutEmpty(
        ['kind', 'command', 'calls', 'by', 'during the watch', 'seen in it'],
        commandStats.map(({ command, calls, concern, own, duringWatch = 0, watched = 0 }) => [
          concern,
          command,
          `${formatCount(calls)}×`,
          own ? 'an import' : '',
          ...[duringWatch, watched].map((count) =>
            duringWatch + watched === 0 ? '' : `${formatCount(count)}×`,
          ),
        ]),
      ),
    },
    ...dataSections(report),
    {
      title: 'Where the keys would go',
      heads: ['node', 'version', 'share', 'would come', 'room', 'keys there'],
      rows: nodes.map((node) => [
        node.address,
        nameOf(node),
        percent(node.share),
        `about ${formatBytes(node.expectedBytes)}`,
        node.freeBytes === undefined
          ? 'no maxmemory'
          : `${formatBytes(node.freeBytes)} free, ${node.evictionPolicy}`,
        formatCount(node.keys),
      ]),
    },
    { title: 'How an import would go', rows: plan ? planRows(plan) : [] },
  ];
  return sections.filter(({ rows }) => rows.length > 0);
}

/** Leaves out the columns in which no row has anything. */
function withoutEmpty(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): Required<Pick<Section, 'heads' | 'rows'>> {
  const isUsed = heads.map((_, at) => rows.some((row) => (row[at] ?? '') !== ''));
  const used = (row: readonly string[]): readonly string[] => row.filter((_, at) => isUsed[at]);
  return { heads: used(heads), rows: rows.map(used) };
}

export const patternsTitle = 'Commands, transactions and scripts with several keys';

/** More are in the JSON. */
const patternsTold = 100;

const ends = {
  time: 'the time was over',
  limit: 'so many commands were seen as --watch-limit allows',
  latency: 'the source became slow (--watch-latency)',
  signal: 'it was stopped',
  lost: 'the source was lost',
};

function watchSections(watch: WatchReport): readonly Section[] {
  const { commands, durationMs, endedBy, patterns } = watch;
  const told = patterns.slice(0, patternsTold);
  const more = patterns.length - told.length;
  return [
    {
      title: 'Watching',
      rows: [
        ['commands', formatCount(commands)],
        ['for', formatDuration(durationMs)],
        ['ended because', ends[endedBy]],
      ],
    },
    {
      title: patternsTitle,
      heads: ['verdict', 'kind', 'seen', 'pattern', 'what would repair it', 'clients'],
      below: 4,
      rows: told.map(({ pattern, kind, trouble, count, clients, repair }) => [
        trouble ?? 'one slot',
        kind,
        `${formatCount(count)}×`,
        pattern,
        repair ?? '',
        `by ${clientWords(clients)}`,
      ]),
      ...(more > 0 && { more: `and ${formatCount(more)} more: assess --json lists them all` }),
    },
  ];
}

function dataSections({ data }: AssessReport): readonly Section[] {
  const { meanBytes, meanBytesError } = data;
  const error = meanBytesError === undefined ? '' : ` ± ${formatBytes(meanBytesError)}`;
  return [
    {
      title: 'Databases',
      ...withoutEmpty(
        ['database', 'keys', 'of these expire', 'looked for in larger databases'],
        data.databases.map(({ db, keys, expiring }) => {
          const compared = data.compared.find((one) => one.db === db);
          return [
            `db${String(db)}`,
            formatCount(keys),
            percent(keys === 0 ? 0 : expiring / keys),
            compared ? formatCount(compared.names) : '',
          ];
        }),
      ),
    },
    {
      title: 'Names in several databases',
      heads: ['key', 'databases'],
      rows: data.collisions.map((one) => [
        quoteKey(one, 80),
        one.databases.map((db) => `db${String(db)}`).join(', '),
      ]),
    },
    {
      title: `Types, of ${formatCount(data.sampled)} keys at random (± ${percent(data.shareError)})`,
      heads: ['type', 'share', 'size of a key'],
      rows: data.types.map(({ type, share, meanBytes: mean }) => [
        type,
        percent(share),
        mean === undefined ? 'size not known' : `${formatBytes(mean)} on average`,
      ]),
    },
    {
      title: `Largest of these by type; a key has ${formatBytes(meanBytes)}${error}`,
      heads: ['type', 'key', 'size'],
      rows: data.largest.map((one) => [one.type, quoteKey(one, 80), formatBytes(one.bytes)]),
    },
    {
      title: 'Modules and functions',
      rows: [
        ...data.modules.map((name) => ['module', name]),
        ...data.functions.map((name) => ['function library', name]),
      ],
    },
  ];
}

const wayWords = {
  whole: 'in one piece',
  rewritten: 'in one piece, under another version',
  elements: 'element by element',
  stays: 'stay at the source',
};

/** `about 26 s` */
export function timeWords({ durationMs }: Pick<Estimate, 'durationMs'>): string {
  return durationMs < 1000 ? 'less than a second' : `about ${formatDuration(durationMs)}`;
}

function planRows({ mover, reason, ways = [], estimate }: Plan): readonly (readonly string[])[] {
  const both = 'relay or migrate, whichever turns out to be faster';
  return [
    ['mover', mover === 'auto' ? both : `${mover}: ${reason}`],
    ...ways.map(({ way, type, keys, why }) => [
      'values',
      `${type}: about ${formatCount(keys)} ${wayWords[way]}${why === undefined ? '' : `: ${why}`}`,
    ]),
    ...(estimate
      ? [
          [
            'time',
            `${timeWords(estimate)} (estimated from reading ${formatCount(estimate.values)} values in ${formatDuration(estimate.measuredMs)}; slower with distant or busy nodes)`,
          ],
        ]
      : []),
  ];
}

const narrowest = 60;
const plain = colours.createColors(false);

/** @param columns how wide the terminal is; what is longer goes on below, at words. */
export function summarizeAssess(
  report: AssessReport,
  palette: Colors = plain,
  columns = Infinity,
): string {
  const { green, red, yellow, bold } = palette;
  const width = Math.max(narrowest, columns) - 1;
  const [mark, paint] = (
    { 'can-move': ['✓', green], 'cannot-move': ['✗', red], undecided: ['?', yellow] } as const
  )[report.status];
  const verdict = wrapped(headline(report), width - 2).map((line, at) =>
    paint(`${at === 0 ? mark : ' '} ${line}`),
  );
  const sections = sectionsOf(report).map((section) => {
    const title = wrapped(section.title, width).map((line) => bold(line));
    return `${[...title, ...tableLines(section, palette, width)].join('\n')}\n`;
  });
  return [`${verdict.join('\n')}\n`, ...sections].join('\n');
}

const indent = '  ';

/** What stands at the right of its column; a cell without anything does not keep the others from it. */
export function isNumber(text = ''): boolean {
  return text === '' || /^(?:about )?[\d,.]+(?:×| [kKMGTP]?B| %)?$/.test(text);
}

function tableLines(section: Section, palette: Colors, width: number): string[] {
  const { heads, rows, below = Infinity, more } = section;
  const above = rows.map((row) => row.slice(0, below));
  const head = heads?.slice(0, below);
  const widths = columnWidths(head ? [head, ...above] : above, width - indent.length);
  const isRight = widths.map((_, at) => above.every((row) => isNumber(row[at])));
  const linesOf = (row: readonly string[], paint: (word: string) => string): readonly string[] => {
    const cells = row.map((text, at) => wrapped(text, widths[at] ?? Infinity));
    return Array.from({ length: Math.max(...cells.map(({ length }) => length)) }, (_, nth) =>
      cells
        .map((cell, at) => {
          const text = cell[nth] ?? '';
          const cellWidth = widths[at] ?? 0;
          const padded = isRight[at] ? text.padStart(cellWidth) : text.padEnd(cellWidth);
          return at === 0 ? paint(padded) : padded;
        })
        .join('  ')
        .trimEnd(),
    ).map((line) => `${indent}${line}`);
  };
  const deeper = `${indent}${indent}`;
  return [
    ...(head ? linesOf(head, (word) => word).map((line) => palette.dim(line)) : []),
    ...rows.flatMap((row, place) => [
      ...linesOf(above[place] ?? [], (word) => paintedWord(word, palette)),
      ...row
        .slice(below)
        .filter((text) => text !== '')
        .flatMap((text) =>
          wrapped(text, width - deeper.length).map((line) => palette.dim(`${deeper}${line}`)),
        ),
    ]),
    ...(more === undefined ? [] : [`${indent}${more}`]),
  ];
}

/** As wide as their cells, and where that is too much, the widest ones narrower. */
function columnWidths(rows: readonly (readonly string[])[], width: number): readonly number[] {
  const count = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, at) =>
    Math.max(...rows.map((row) => row[at]?.length ?? 0)),
  );
  // Words stay whole, unless one alone would fill the line.
  const least = widths.map((_, at) =>
    Math.max(...rows.flatMap((row) => (row[at] ?? '').split(' ').map(({ length }) => length))),
  );
  let tooMuch = widths.reduce((sum, one) => sum + one, 0) + 2 * (count - 1) - width;
  for (const floor of [(at: number) => least[at] ?? 1, () => 1]) {
    while (tooMuch > 0) {
      const [at] = [...widths.keys()]
        .filter((one) => (widths[one] ?? 0) > floor(one))
        .sort((one, other) => (widths[other] ?? 0) - (widths[one] ?? 0));
      if (at === undefined) break;
      widths[at] = (widths[at] ?? 0) - 1;
      tooMuch--;
    }
  }
  return widths;
}

/** What a row begins with, if that says how bad it is. */
function paintedWord(text: string, { red, yellow, dim, green }: Colors): string {
  const word = text.trimEnd();
  if (word === 'blocking' || isTrouble(word)) return red(text);
  if (word === 'not known') return yellow(text);
  if (word === 'one slot') return green(text);
  return word === 'note' ? dim(text) : text;
}

/** Breaks at words, and within one only where it is longer than a line. */
function wrapped(text: string, width: number): string[] {
  const words = text.split(' ').flatMap((word) => cut(word, width));
  return wrap(words.join(' '), width);
}

function cut(word: string, width: number): readonly string[] {
  if (word.length <= width) return [word];
  return [word.slice(0, width), ...cut(word.slice(width), width)];
}
