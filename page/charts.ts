/** The charts, in the colours of the page, light or dark. */
import uPlot from 'uplot';
import { formatBytes, formatCount } from '../src/format.js';
import type { Course } from '../src/watch/history.js';

export interface Charts {
  show(course: Course): void;
}

type Column = readonly (number | null)[];
type Format = (value: number) => string;

interface Line {
  readonly label: string;
  readonly colour: string;
  readonly fill?: string;
  readonly scale: 'main' | 'second';
  readonly format: Format;
}

const height = 220;
const perSecond: Format = (value) => `${formatCount(value)} keys/s`;
const bytesPerSecond: Format = (value) => `${formatBytes(value)}/s`;
const keys: Format = (value) => `${formatCount(value)} keys`;
const ms: Format = (value) => `${value >= 10 ? formatCount(value) : value.toFixed(1)} ms`;

const throughputLines: readonly Line[] = [
  { label: 'keys', colour: '--accent', fill: '--accent-soft', scale: 'main', format: perSecond },
  { label: 'values', colour: '--second', scale: 'second', format: bytesPerSecond },
];
const latencyLines: readonly Line[] = [
  { label: 'longest wait for a PING', colour: '--second', scale: 'main', format: ms },
];

const followLines: readonly Line[] = [
  { label: 'lag', colour: '--accent', fill: '--accent-soft', scale: 'main', format: ms },
  { label: 'changed keys that wait', colour: '--second', scale: 'second', format: keys },
];

/** Where the charts stand. */
export interface Places {
  readonly throughput: HTMLElement;
  readonly latency: HTMLElement;
  readonly follow: HTMLElement;
}

export function createCharts({ throughput, latency, follow }: Places): Charts {
  let shown: Course | undefined;
  const charts = [
    chart(throughput, throughputLines, ({ keysPerSecond, bytesPerSecond: bytes }) => [
      keysPerSecond,
      bytes,
    ]),
    chart(latency, latencyLines, ({ latencyMs }) => [latencyMs]),
    chart(follow, followLines, ({ lagMs, changedKeys }) => [lagMs, changedKeys]),
  ];

  function renew(): void {
    for (const one of charts) one.renew(shown);
  }
  // Colours are drawn, not styled: they have to be drawn again.
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', renew);
  return {
    show(course) {
      shown = course;
      for (const one of charts) one.show(course);
    },
  };
}

function chart(
  place: HTMLElement,
  lines: readonly Line[],
  columns: (course: Course) => readonly Column[],
) {
  let plot: uPlot | undefined;
  new ResizeObserver(() => {
    plot?.setSize({ width: place.clientWidth, height });
  }).observe(place);

  function show(course: Course): void {
    const seconds = course.atMs.map((atMs) => atMs / 1000);
    const data = [seconds, ...columns(course)] as uPlot.AlignedData;
    if (plot) plot.setData(data);
    else plot = new uPlot(settings(lines, place.clientWidth), data, place);
  }
  return {
    show,
    renew(course: Course | undefined) {
      plot?.destroy();
      plot = undefined;
      if (course) show(course);
    },
  };
}

function settings(lines: readonly Line[], width: number): uPlot.Options {
  const axis = { stroke: colour('--faint'), grid: { stroke: colour('--rule'), width: 1 } };
  const yAxes = lines.map(({ scale, format }): uPlot.Axis => ({
    ...axis,
    scale,
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- it has no values at run time
    ...(scale === 'second' && { side: 1 }),
    size: 78,
    grid: { show: scale === 'main', stroke: colour('--rule'), width: 1 },
    values: (_, ticks) => ticks.map((tick) => format(tick).replace(/ keys(\/s)?$/, '')),
  }));
  const fromZero = (room: number): uPlot.Scale => ({
    range: (_, __, most: number | null) => [0, Math.max(most ?? 0, 1) * room],
  });
  return {
    width,
    height,
    axes: [{ ...axis, values: [[1, '{HH}:{mm}:{ss}']] as uPlot.Axis.Values, space: 80 }, ...yAxes],
    // More room above the second line, so that it does not lie on the first.
    scales: { main: fromZero(1.1), second: fromZero(1.8) },
    series: [
      // Where nobody points at anything, the legend tells the latest.
      { label: 'at', value: (plot, at: number | null) => clock(at ?? latest(plot, 0)) },
      ...lines.map((line): uPlot.Series => ({
        label: line.label,
        scale: line.scale,
        stroke: colour(line.colour),
        ...(line.fill !== undefined && { fill: colour(line.fill) }),
        width: 2,
        spanGaps: true,
        points: { show: false },
        value: (plot, value: number | null, place) => told(value ?? latest(plot, place), line),
      })),
    ],
  };
}

function latest(plot: uPlot, place: number): number | null {
  return plot.data[place]?.at(-1) ?? null;
}

function told(value: number | null, { format }: Line): string {
  return value === null ? '–' : format(value);
}

function clock(seconds: number | null): string {
  return seconds === null ? '–' : new Date(seconds * 1000).toLocaleTimeString();
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
