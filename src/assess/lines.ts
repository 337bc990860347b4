/** An assessment in sections of rows, which its text and its page both show. */
import { formatBytes, formatCount, formatDuration } from '../format.js';
import { quoteKey } from '../quote.js';
import { type AssessReport, percent } from './report.js';

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
  const { findings, watch, commandStats, data, nodes = [] } = report;
  const patterns = watch?.patterns ?? [];
  const sections: Section[] = [
    {
      title: 'Findings',
      rows: findings.map(({ blocking, message }) => [blocking ? 'blocking' : 'note', message]),
    },
    {
      title: watch
        ? `Commands, ${formatCount(watch.commands)} watched in ${formatDuration(watch.durationMs)}`
        : '',
      rows: patterns.map(({ pattern, kind, trouble, count, clients, repair }) => [
        trouble ?? 'one slot',
        kind,
        `${formatCount(count)}×`,
        pattern,
        repair ?? '',
        `by ${clients.join(', ')}`,
      ]),
    },
    {
      title: 'Commands since the start of the server',
      rows: commandStats.map(({ command, calls, concern }) => [
        concern,
        command,
        `${formatCount(calls)}×`,
      ]),
    },
    {
      title: 'Databases',
      rows: data.databases.map(({ db, keys, expiring }) => [
        `db${String(db)}`,
        `${formatCount(keys)} keys`,
        `${percent(keys === 0 ? 0 : expiring / keys)} expire`,
      ]),
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
      rows: data.types.map(({ type, share, meanBytes }) => [
        type,
        percent(share),
        `${formatBytes(meanBytes)} on average`,
      ]),
    },
    {
      title: `Largest of these; a key has ${formatBytes(data.meanBytes)} ± ${formatBytes(data.meanBytesError)}`,
      rows: data.largest.map((one) => [quoteKey(one, 80), one.type, formatBytes(one.bytes)]),
    },
    {
      title: 'Modules and functions',
      rows: [
        ...data.modules.map((name) => ['module', name]),
        ...data.functions.map((name) => ['function library', name]),
      ],
    },
    {
      title: 'Where the keys would go',
      rows: nodes.map(({ address, version, share, expectedBytes, freeBytes, evictionPolicy }) => [
        address,
        `Redis ${version}`,
        percent(share),
        `about ${formatBytes(expectedBytes)}`,
        freeBytes === undefined
          ? 'no maxmemory'
          : `${formatBytes(freeBytes)} free, ${evictionPolicy}`,
      ]),
    },
  ];
  return sections.filter(({ rows }) => rows.length > 0);
}

export function summarizeAssess(report: AssessReport): string {
  const sections = sectionsOf(report).map(({ title, rows }) => {
    const columns = Math.max(...rows.map((row) => row.length));
    const widths = Array.from({ length: columns }, (_, at) =>
      Math.min(60, Math.max(...rows.map((row) => row[at]?.length ?? 0))),
    );
    const lines = rows.map((row) =>
      `  ${row.map((text, at) => text.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd(),
    );
    return `${title}\n${lines.join('\n')}\n`;
  });
  return [`${headline(report)}\n`, ...sections].join('\n');
}
