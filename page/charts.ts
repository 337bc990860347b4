/**
 * The charts, in the colours of the page, light or dark: each with one measure, the limit that held as a broken
 * line, and a mark where something happened.
 */
import uPlot from 'uplot';
import { formatBytes, formatCount } from '../src/format.js';
import type { Course, RunEvent } from '../src/watch/history.js';
import type { Live } from '../src/watch/live.js';
import { formatMs } from '../src/watch/words.js';
import { clock } from './dom.js';

type Shown = Pick<Live, 'course' | 'events'>;

export interface Charts {
  show(live: Shown): void;
}

type Column = readonly (number | null)[];
type Format = (value: number) => string;

interface Line {
  readonly label: string;
  readonly colour: string;
  readonly fill?: string;
  readonly scale: 'main' | 'second';
  readonly format: Format;
  readonly isLimit?: boolean;
}

interface ChartOptions {
  readonly label: string;
  readonly lines: readonly Line[];
  readonly columns: (course: Course) => readonly Column[];
  /** One peak would flatten all the rest. */
  readonly isLogarithmic?: boolean;
}

const height = 200;
const perSecond: Format = (value) => `${formatCount(value)} keys/s`;
const bytesPerSecond: Format = (value) => `${formatBytes(value)}/s`;
const keys: Format = (value) => `${formatCount(value)} keys`;
/** Below it nobody cares, and a logarithm needs an end. */
const leastMs = 0.1;

const limitLine = (format: Format): Line => ({
  ...{ label: 'limit', colour: '--warn', scale: 'main', format, isLimit: true },
});

/** Where the charts stand. */
export interface Places {
  readonly keys: HTMLElement;
  readonly bytes: HTMLElement;
  readonly latency: HTMLElement;
  readonly follow: HTMLElement;
}

export function createCharts(places: Places): Charts {
  let shown: Shown | undefined;
  const charts = [
    chart(places.keys, {
      label: 'Keys a second over time',
      lines: [
        {
          label: 'keys',
          colour: '--accent',
          fill: '--accent-soft',
          scale: 'main',
          format: perSecond,
        },
        limitLine(perSecond),
      ],
      columns: (course) => [course.keysPerSecond, course.keysPerSecondLimit],
    }),
    chart(places.bytes, {
      label: 'Bytes of values a second over time',
      lines: [
        {
          label: 'values',
          colour: '--second',
          fill: '--second-soft',
          scale: 'main',
          format: bytesPerSecond,
        },
        limitLine(bytesPerSecond),
      ],
      columns: (course) => [course.bytesPerSecond, course.bytesPerSecondLimit],
    }),
    chart(places.latency, {
      label: 'Latency of the source and of the slowest node over time',
      lines: [
        { label: 'source', colour: '--second', scale: 'main', format: formatMs },
        { label: 'slowest node', colour: '--accent', scale: 'main', format: formatMs },
        limitLine(formatMs),
      ],
      columns: ({ latencyMs, nodeLatencyMs, latencyLimitMs }) => [
        ...[latencyMs, nodeLatencyMs].map((column) =>
          column.map((ms) => (ms === null ? null : Math.max(leastMs, ms))),
        ),
        latencyLimitMs,
      ],
      isLogarithmic: true,
    }),
    chart(places.follow, {
      label: 'How far the cluster is behind its source, over time',
      lines: [
        {
          label: 'lag',
          colour: '--accent',
          fill: '--accent-soft',
          scale: 'main',
          format: formatMs,
        },
        { label: 'changed keys that wait', colour: '--second', scale: 'second', format: keys },
      ],
      columns: ({ lagMs, changedKeys }) => [lagMs, changedKeys],
    }),
  ];

  // Colours are drawn, not styled: they have to be drawn again.
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const one of charts) one.renew(shown);
  });
  return {
    show(live) {
      shown = live;
      for (const one of charts) one.show(live);
    },
  };
}

function chart(place: HTMLElement, options: ChartOptions) {
  let plot: uPlot | undefined;
  let events: readonly RunEvent[] = [];
  place.setAttribute('role', 'img');
  place.setAttribute('aria-label', options.label);
  new ResizeObserver(() => {
    plot?.setSize({ width: place.clientWidth, height });
  }).observe(place);

  function show({ course, events: known }: Shown): void {
    events = known;
    const seconds = course.atMs.map((atMs) => atMs / 1000);
    const data = [seconds, ...options.columns(course)] as uPlot.AlignedData;
    if (plot) plot.setData(data);
    else
      plot = new uPlot(
        settings(options, place.clientWidth, () => events),
        data,
        place,
      );
  }
  return {
    show,
    renew(live: Shown | undefined) {
      plot?.destroy();
      plot = undefined;
      if (live) show(live);
    },
  };
}

function settings(
  { lines, isLogarithmic = false }: ChartOptions,
  width: number,
  events: () => readonly RunEvent[],
): uPlot.Options {
  const axis = { stroke: colour('--faint'), grid: { stroke: colour('--rule'), width: 1 } };
  const yAxes = [...new Map(lines.toReversed().map((line) => [line.scale, line])).values()].map(
    ({ scale, format }): uPlot.Axis => ({
      ...axis,
      scale,
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- it has no values at run time
      ...(scale === 'second' && { side: 1 }),
      size: 78,
      grid: { show: scale === 'main', stroke: colour('--rule'), width: 1 },
      values: (_, ticks) =>
        ticks.map((tick: number | null) =>
          tick === null ? '' : format(tick).replace(/ keys(\/s)?$/, ''),
        ),
    }),
  );
  const fromZero = (room: number): uPlot.Scale => ({
    range: (_, __, most: number | null) => [0, Math.max(most ?? 0, 1) * room],
  });
  const logarithmic: uPlot.Scale = {
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- it has no values at run time
    distr: 3,
    range: (_, __, most: number | null) => [
      leastMs,
      10 ** Math.ceil(Math.log10(Math.max(most ?? 1, 1))),
    ],
  };
  return {
    width,
    height,
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => clock(tick * 1000)), space: 80 },
      ...yAxes,
    ],
    // More room above the second line, so that it does not lie on the first.
    scales: { main: isLogarithmic ? logarithmic : fromZero(1.1), second: fromZero(1.8) },
    hooks: {
      draw: [
        (plot) => {
          drawEvents(plot, events());
        },
      ],
    },
    series: [
      // Where nobody points at anything, the legend tells the latest.
      { label: 'time', value: (plot, at: number | null) => clockAt(at ?? latest(plot, 0)) },
      ...lines.map((line): uPlot.Series => ({
        label: line.label,
        scale: line.scale,
        stroke: colour(line.colour),
        ...(line.fill !== undefined && { fill: colour(line.fill) }),
        ...(line.isLimit === true && { dash: [6, 4] }),
        width: line.isLimit === true ? 1 : 2,
        spanGaps: line.isLimit !== true,
        points: { show: false },
        value: (plot, value: number | null, place) => told(value ?? latest(plot, place), line),
      })),
    ],
  };
}

const eventColours = {
  steered: '--warn',
  trouble: '--bad',
  good: '--good',
  progress: '--faint',
} as const;

/** An upright line where something happened; the list below the charts says what. */
function drawEvents(plot: uPlot, events: readonly RunEvent[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const { atMs, kind } of events) {
    const x = plot.valToPos(atMs / 1000, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = colour(eventColours[kind]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function latest(plot: uPlot, place: number): number | null {
  return plot.data[place]?.at(-1) ?? null;
}

function told(value: number | null, { format, isLimit }: Line): string {
  if (value === null) return isLimit === true ? 'none' : '–';
  return format(value);
}

function clockAt(seconds: number | null): string {
  return seconds === null ? '–' : clock(seconds * 1000);
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
