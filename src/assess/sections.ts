/** An assessment in sections of rows, which its text and its page both show. */
import colours from 'picocolors';
import type { Colors } from 'picocolors/types.js';
import { formatBytes, formatCount, formatDuration } from '../format.js';
import { quoteKey } from '../quote.js';
import { nameOf } from '../redis/server.js';
import { clientWords } from './clients.js';
import { percent } from './findings.js';
import { timesReading } from './time-estimate.js';
import type { AssessReport, Plan, WatchReport } from './assess-report.js';

export interface Section {
  readonly title: string;
  readonly rows: readonly (readonly string[])[];
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

export function headline({ status, case: found, from, to }: AssessReport): string {
  const into = to === undefined ? '' : ` into the cluster of ${to}`;
  return `${verdicts[status]}: ${from}${into}${found === undefined ? '' : `, ${cases[found]}`}`;
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
      rows: commandStats.map(({ command, calls, concern, own, duringWatch, watched }) => [
        concern,
        command,
        `${formatCount(calls)}×`,
        ...(own ? ['by an import'] : []),
        ...(duringWatch === undefined
          ? []
          : [`${formatCount(duringWatch)} during the watch, ${formatCount(watched ?? 0)} seen`]),
      ]),
    },
    ...dataSections(report),
    {
      title: 'Where the keys would go',
      rows: nodes.map((node) => [
        node.address,
        nameOf(node),
        percent(node.share),
        `about ${formatBytes(node.expectedBytes)}`,
        node.freeBytes === undefined
          ? 'no maxmemory'
          : `${formatBytes(node.freeBytes)} free, ${node.evictionPolicy}`,
        node.keys === 0 ? 'empty' : `holds ${formatCount(node.keys)} already`,
      ]),
    },
    { title: 'How an import would go', rows: plan ? planRows(plan) : [] },
  ];
  return sections.filter(({ rows }) => rows.length > 0);
}

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
      title: 'Commands, transactions and scripts with several keys',
      rows: [
        ...told.map(({ pattern, kind, trouble, count, clients, repair }) => [
          trouble ?? 'one slot',
          kind,
          `${formatCount(count)}×`,
          pattern,
          repair ?? '',
          `by ${clientWords(clients)}`,
        ]),
        ...(more > 0 ? [[`and ${formatCount(more)} more, which --json tells`]] : []),
      ],
    },
  ];
}

function dataSections({ data }: AssessReport): readonly Section[] {
  const { meanBytes, meanBytesError } = data;
  const error = meanBytesError === undefined ? '' : ` ± ${formatBytes(meanBytesError)}`;
  return [
    {
      title: 'Databases',
      rows: data.databases.map(({ db, keys, expiring }) => {
        const compared = data.compared.find((one) => one.db === db);
        return [
          `db${String(db)}`,
          `${formatCount(keys)} keys`,
          `${percent(keys === 0 ? 0 : expiring / keys)} expire`,
          compared ? `${formatCount(compared.names)} names looked for in larger databases` : '',
        ];
      }),
    },
    {
      title: 'Names in several databases',
      rows: data.collisions.map((one) => [
        quoteKey(one, 80),
        one.databases.map((db) => `db${String(db)}`).join(', '),
      ]),
    },
    {
      title: `Types, of ${formatCount(data.sampled)} keys at random (± ${percent(data.shareError)})`,
      rows: data.types.map(({ type, share, meanBytes: mean }) => [
        type,
        percent(share),
        mean === undefined ? 'size not known' : `${formatBytes(mean)} on average`,
      ]),
    },
    {
      title: `Largest of these by type; a key has ${formatBytes(meanBytes)}${error}`,
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
            `about ${formatDuration(estimate.durationMs)} (estimated as ${String(timesReading)} times what reading takes; ${formatCount(estimate.values)} values of ${formatBytes(estimate.bytes)} were read in ${formatDuration(estimate.measuredMs)}; slower with distant or busy nodes)`,
          ],
        ]
      : []),
  ];
}

const narrowest = 60;
const plain = colours.createColors(false);

/** @param columns how wide lines may be; findings are wrapped, and tables are not. */
export function summarizeAssess(
  report: AssessReport,
  palette: Colors = plain,
  columns = Infinity,
): string {
  const paint = {
    'can-move': palette.green,
    'cannot-move': palette.red,
    undecided: palette.yellow,
  };
  const sections = sectionsOf(report).map((section) => {
    const lines =
      section.title === 'Findings'
        ? findingLines(report, palette, Math.max(narrowest, columns - 1))
        : tableLines(section);
    return `${palette.bold(section.title)}\n${lines.join('\n')}\n`;
  });
  const marks = { 'can-move': '✓', 'cannot-move': '✗', undecided: '?' };
  const verdict = paint[report.status](`${marks[report.status]} ${headline(report)}`);
  return [`${verdict}\n`, ...sections].join('\n');
}

function tableLines({ rows }: Section): string[] {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.min(60, Math.max(...rows.map((row) => row[at]?.length ?? 0))),
  );
  return rows.map((row) =>
    `  ${row.map((text, at) => text.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd(),
  );
}

function findingLines(
  { findings }: AssessReport,
  { red, yellow, dim }: Colors,
  width: number,
): string[] {
  return findings.flatMap(({ blocking, open, message }) => {
    const word = blocking ? 'blocking' : open ? 'not known' : 'note';
    const paint = blocking ? red : open ? yellow : dim;
    const [first = '', ...rest] = wrapped(message, width - 13);
    return [
      `  ${paint(word.padEnd(9))}  ${first}`,
      ...rest.map((line) => `${' '.repeat(13)}${line}`),
    ];
  });
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
